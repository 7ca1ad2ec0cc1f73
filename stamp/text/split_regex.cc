#include "stamp/text/split_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cctype>
#include <limits>

#include "stamp/core/error.h"
#include "stamp/text/unicode.h"

namespace stamp {
namespace {

constexpr uint32_t kHeapLimitKib = 256 * 1024;
constexpr size_t kJitStackBytes = size_t{1} << 20;
// One long run of blanks is walked a few times, so the allowance grows with the text.
constexpr uint64_t kStepsPerMatch = 10'000'000, kStepsPerByte = 16;

template <auto Function>
struct Call {
  template <class T>
  void operator()(T* pointer) const {
    Function(pointer);
  }
};
using Code = std::unique_ptr<pcre2_code, Call<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Call<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Call<pcre2_match_context_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Call<pcre2_jit_stack_free>>;

std::string message_of(int error) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

/// Oniguruma's meaning in PCRE2's spelling: PCRE2's own \s also has U+180E.
std::string translate(const std::string& pattern) {
  std::string result;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      result += pattern[i];
      continue;
    }
    const char escape = pattern[++i];
    if (escape == 's' || escape == 'S')
      result += escape == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
    else if (std::string_view("dDpPrnt").find(escape) != std::string_view::npos ||
             std::ispunct(static_cast<unsigned char>(escape)))
      result += {'\\', escape};
    else
      throw_runtime("tokenizer: regex '{}' has the unsupported escape '\\{}'", pattern, escape);
  }
  return result;
}

Code compile(const std::string& pattern) {
  const std::string translated = translate(pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                          PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset,
                          nullptr));
  if (!code)
    throw_runtime("tokenizer: regex '{}' does not compile, {} at byte {} of '{}'", pattern,
                  message_of(error), offset, translated);
  // Without a JIT for this machine the interpreter does the same, slower.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return code;
}

template <class T>
T* check_allocated(T* pointer) {
  if (pointer == nullptr) throw std::bad_alloc();
  return pointer;
}

}  // namespace

struct SplitRegex::Impl {
  Code code;
  bool matches_only;
};

SplitRegex::SplitRegex(const std::string& pattern, bool matches_only)
    : impl_(std::make_unique<Impl>(Impl{compile(pattern), matches_only})) {}
SplitRegex::SplitRegex(SplitRegex&&) noexcept = default;
SplitRegex::~SplitRegex() = default;

void SplitRegex::split(std::string_view text, std::vector<std::string_view>& pieces) const {
  const MatchData match(
      check_allocated(pcre2_match_data_create_from_pattern(impl_->code.get(), nullptr)));
  const MatchContext context(check_allocated(pcre2_match_context_create(nullptr)));
  const JitStack stack(check_allocated(pcre2_jit_stack_create(32 * 1024, kJitStackBytes, nullptr)));
  pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  const uint64_t steps = kStepsPerMatch + kStepsPerByte * text.size();
  pcre2_set_match_limit(context.get(), static_cast<uint32_t>(std::min<uint64_t>(
                                           steps, std::numeric_limits<uint32_t>::max())));

  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const auto add = [&](size_t begin, size_t end) {
    if (begin < end) pieces.push_back(text.substr(begin, end - begin));
  };
  const auto add_between = [&](size_t begin, size_t end) {
    if (!impl_->matches_only) add(begin, end);
  };
  size_t taken = 0;
  for (size_t from = 0; from < text.size();) {
    const int result = pcre2_match(impl_->code.get(), subject, text.size(), from,
                                   PCRE2_NO_UTF_CHECK, match.get(), context.get());
    if (result == PCRE2_ERROR_NOMATCH) break;
    if (result < 0)
      throw_runtime("tokenizer: the split regex failed at byte {} of {}, {}", from, text.size(),
                    message_of(result));
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
    add_between(taken, range[0]);
    add(range[0], range[1]);
    taken = range[1];
    const bool empty = range[0] == range[1] && taken < text.size();
    from = empty ? taken + decode_utf8(text, taken).bytes : taken;
  }
  add_between(taken, text.size());
}

}  // namespace stamp
