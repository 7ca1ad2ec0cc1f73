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
  /// `matches_only`: what lies between the matches is dropped.
  explicit SplitRegex(const std::string& pattern, bool matches_only = false);
  SplitRegex(SplitRegex&&) noexcept;
  ~SplitRegex();

  /// Appends the pieces of valid UTF-8 text to `pieces`: the matches and what lies between them
  /// (unless `matches_only`), in order, none empty. Throws std::runtime_error when the pattern
  /// needs too many steps on this text.
  void split(std::string_view text, std::vector<std::string_view>& pieces) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stamp
