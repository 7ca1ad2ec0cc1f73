// GGUF files: every view lies inside the file, and what a directory would have can be made of what
// is accepted, or refused.
#include "stamp/io/config_reader.h"
#include "stamp/io/gguf_model.h"
#include "stamp/io/hf_config.h"
#include "tests/fuzz/tensor_use.h"

namespace {

using namespace stamp;

void use(const Gguf& file, std::span<const std::byte> bytes) {
  for (const auto& [name, view] : file.tensors()) fuzz::check_view(bytes, view, 8);
  fuzz::accepted([&] { read_llm_config(ConfigReader(gguf_config(file), fuzz::kWhere)); });
  fuzz::accepted([&] { gguf_tokenizer(file); });
  fuzz::accepted([&] { gguf_tokenizer_config(file); });
  fuzz::accepted([&] { gguf_weights(file); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::MappedInput input(data, size);
  Gguf file;
  if (fuzz::accepted([&] { file = Gguf::read(input.bytes(), fuzz::kWhere); }))
    use(file, input.bytes());
  return 0;
}
