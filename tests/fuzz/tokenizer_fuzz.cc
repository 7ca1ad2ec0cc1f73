// tokenizer.json: what is accepted encodes and decodes a text.
//
// A byte-level vocabulary needs 256 entries, which would make every input long and most changes of
// it useless: those that are missing are added before it is read.
#include "stamp/io/json.h"
#include "stamp/text/bpe.h"
#include "stamp/text/byte_alphabet.h"
#include "stamp/text/tokenizer_file.h"
#include "tests/fuzz/tokenizer_use.h"

namespace {

using namespace stamp;

constexpr uint32_t kFirstByteId = 1000;

/// model.vocab with the tokens of all bytes.
void add_bytes(Json& json) {
  if (!json.is_object() || !json.contains("model") || !json["model"].is_object()) return;
  Json& model = json["model"];
  if (!model.contains("vocab") || !model["vocab"].is_object()) return;
  const bool fallback = model.value("byte_fallback", Json()) == true;
  const Json suffix = model.value("end_of_word_suffix", Json());
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    const std::string token =
        fallback ? byte_token(static_cast<uint8_t>(byte)) : spell_bytes({&raw, 1});
    model["vocab"].emplace(token, kFirstByteId + byte);
    if (suffix.is_string() && !suffix.empty())
      model["vocab"].emplace(token + suffix.get<std::string>(), kFirstByteId + 256 + byte);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::accepted([&] {
    Json json = parse_json(fuzz::text_of(data, size), fuzz::kWhere);
    add_bytes(json);
    fuzz::use(Tokenizer::make(read_tokenizer_file(json, fuzz::kWhere), {}, fuzz::kWhere));
  });
  return 0;
}
