#pragma once
// A small tokenizer, and what one that was accepted must be able to do.
#include <vector>

#include "stamp/text/tokenizer.h"
#include "stamp/text/tokenizer_file.h"
#include "tests/fuzz/fuzz.h"

namespace stamp::fuzz {

/// Unigrams of a few letters.
inline TokenizerSpec small_spec() {
  TokenizerSpec spec;
  spec.model = TokenModel::kUnigram;
  spec.spaces = SpaceRule::kCollapse;
  spec.vocabulary = {{"<unk>", 0}, {"</s>", 1}, {"\u2581", 2}, {"l", 3}, {"o", 4}};
  spec.scores = {0, 0, -1, -2, -3};
  spec.unknown = 0;
  return spec;
}

/// Encodes a text with letters, digits, blanks, marks, a special token and invalid UTF-8, and
/// decodes it again. std::runtime_error: a split regex that needs too many steps.
inline void use(const Tokenizer& tokenizer) {
  constexpr std::string_view kText =
      "Hello world,  it's 42\n\u00c5e\u0301 \u2581\U0001f600 <s>\xff\xe2\x96";
  const std::vector<int32_t> ids = tokenizer.encode(kText);
  for (const int32_t id : ids) {
    require(id >= 0 && id < tokenizer.size(), "an id out of range");
    tokenizer.token_bytes(id);
  }
  tokenizer.decode(ids);
  tokenizer.decode(ids, true);
  tokenizer.encode("", false);
}

}  // namespace stamp::fuzz
