// Linears of GPTQ, AWQ and compressed-tensors: a safetensors file whose metadata hold the
// quantization_config as "config". What they are unpacked to can be read.
#include "stamp/io/packed_linears.h"
#include "stamp/io/safetensors_header.h"
#include "tests/fuzz/tensor_use.h"

namespace {

using namespace stamp;

bool is_unpacked(const TensorView& view) {
  return view.dtype == DType::kQ4_0 || view.dtype == DType::kQ8_0 || view.dtype == DType::kF16;
}

void use(const TensorStore& store) {
  for (const auto& [name, view] : store.tensors())
    if (name.ends_with(".weight") && view.shape.size() == 2 && is_unpacked(view)) to_matrix(view);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::MappedInput file(data, size);
  fuzz::accepted([&] {
    SafetensorsHeader header = read_safetensors_header(file.bytes(), fuzz::kWhere);
    const Json config = parse_json(header.metadata["config"], fuzz::kWhere);
    TensorStore store(fuzz::kWhere);
    store.add(std::move(header.tensors), nullptr, fuzz::kWhere);
    unpack_linears(config, fuzz::kWhere, store);
    use(store);
  });
  return 0;
}
