// Text encoders (T5, Gemma 2): a config.json and, after a zero byte, a model.safetensors. What is
// accepted encodes a token.
#include "stamp/models/text_encoder.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stamp;
  const auto& folder =
      fuzz::folder_of(fuzz::text_of(data, size), {"config.json", "model.safetensors"});
  fuzz::accepted([&] {
    const auto encoder = open_text_encoder(folder);
    const int32_t ids[] = {0, 0, 0};
    const uint8_t mask[] = {1, 1, 0};
    ForwardContext context;
    const Matrix states = encoder->forward(ids, mask, context);
    fuzz::require(states.rows() == 3 && states.cols() == encoder->hidden_size(),
                  "states of another shape");
  });
  return 0;
}
