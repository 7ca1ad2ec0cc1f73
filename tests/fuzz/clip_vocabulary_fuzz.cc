// CLIP's vocab.json and, after a zero byte, its merges.txt; then a text encoded and decoded.
#include "stamp/text/clip_vocabulary.h"
#include "tests/fuzz/input_files.h"
#include "tests/fuzz/tokenizer_use.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stamp;
  const auto& folder = fuzz::folder_of(fuzz::text_of(data, size), {"vocab.json", "merges.txt"});
  fuzz::accepted(
      [&] { fuzz::use(Tokenizer::make(read_clip_vocabulary(folder, {}), {}, fuzz::kWhere)); });
  return 0;
}
