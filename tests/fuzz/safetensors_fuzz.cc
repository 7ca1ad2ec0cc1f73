// Headers of safetensors files: every view that is handed out lies inside the file, aligned.
#include "stamp/io/safetensors_header.h"
#include "tests/fuzz/tensor_use.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stamp;
  const fuzz::MappedInput file(data, size);
  fuzz::accepted([&] {
    for (const auto& [name, view] : read_safetensors_header(file.bytes(), fuzz::kWhere).tensors)
      fuzz::check_view(file.bytes(), view, dtype_size(view.dtype));
  });
  return 0;
}
