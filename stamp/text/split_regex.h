#pragma once
// Cutting text at the matches of a tokenizer's regular expression.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stamp {

/// A compiled pattern, in the sense of Oniguruma (which Hugging Face's tokenizers use): \s is the
/// Unicode property White_Space and case folds by Unicode. Safe to use from many threads.
class SplitRegex {
 public:
  /// Throws std::runtime_error for a pattern that does not compile or whose escapes mean something
  /// else in PCRE2; supported are \s \S \d \D \p \P \r \n \t and escaped punctuation.
  explicit SplitRegex(const std::string& pattern);
  SplitRegex(SplitRegex&&) noexcept;
  ~SplitRegex();

  /// Appends the pieces of valid UTF-8 text to `pieces`: the matches and what lies between them, in
  /// order, none empty. Throws std::runtime_error when the pattern needs too many steps on this
  /// text.
  void split(std::string_view text, std::vector<std::string_view>& pieces) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stamp
