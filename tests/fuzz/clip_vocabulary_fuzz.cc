// CLIP's vocab.json and, after a zero byte, its merges.txt; then a text encoded and decoded.
#include "stamp/text/clip_vocabulary.h"
#include "tests/fuzz/input_folder.h"
#include "tests/fuzz/tokenizer_use.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stamp;
  static const fuzz::InputFolder folder;
  const auto [vocabulary, merges] = fuzz::two_files(fuzz::text_of(data, size));
  folder.write("vocab.json", vocabulary);
  folder.write("merges.txt", merges);
  fuzz::accepted([&] {
    fuzz::use(Tokenizer::make(read_clip_vocabulary(folder.path(), {}), {}, fuzz::kWhere));
  });
  return 0;
}
