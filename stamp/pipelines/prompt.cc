#include "stamp/pipelines/prompt.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/text/prompt_text.h"
#include "stamp/text/unicode.h"

namespace stamp {
namespace {

/// T5 keeps its end token when a text is cut; Gemma's texts end as they are.
void cut(std::vector<int32_t>& ids, int64_t length, bool keep_last) {
  if (static_cast<int64_t>(ids.size()) <= length) return;
  const int32_t last = ids.back();
  ids.resize(static_cast<size_t>(length));
  if (keep_last) ids.back() = last;
}

/// Rows of the states that the transformer sees: all, but after an instruction the first and the
/// last max_tokens - 1.
std::vector<int64_t> seen_rows(int64_t length, int64_t max_tokens) {
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < length; ++i)
    if (length <= max_tokens || i == 0 || i > length - max_tokens) rows.push_back(i);
  return rows;
}

}  // namespace

std::vector<int32_t> prompt_ids(const Tokenizer& tokenizer, const std::string& prompt,
                                const PromptOptions& options, std::vector<uint8_t>& mask) {
  if (replace_invalid_utf8(prompt) != prompt)
    throw_argument("prompt: expected UTF-8 text, got bytes that are not");
  int64_t length = options.max_tokens;
  if (!options.instruction.empty())
    length += static_cast<int64_t>(tokenizer.encode(options.instruction).size()) - 2;
  std::vector<int32_t> ids = tokenizer.encode(options.instruction + strip(lower_case(prompt)));
  cut(ids, length, options.family == ImageFamily::kPixArt);
  mask.assign(static_cast<size_t>(length), 0);
  std::fill_n(mask.begin(), ids.size(), uint8_t{1});
  ids.resize(static_cast<size_t>(length), std::max(tokenizer.pad_id(), 0));
  return ids;
}

EncodedPrompt encode_prompt(const Tokenizer& tokenizer, const TextEncoder& encoder,
                            const std::string& prompt, const PromptOptions& options,
                            ForwardContext& context) {
  EncodedPrompt result;
  result.ids = prompt_ids(tokenizer, prompt, options, result.full_mask);
  const auto length = static_cast<int64_t>(result.ids.size());
  // Padding is on the right and nobody attends to it.
  const int64_t used = std::count(result.full_mask.begin(), result.full_mask.end(), 1);
  const int64_t computed = options.keep_padding ? length : std::max<int64_t>(used, 1);
  const Matrix all =
      encoder.forward(std::span(result.ids).first(static_cast<size_t>(computed)),
                      std::span(result.full_mask).first(static_cast<size_t>(computed)), context);
  std::vector<int64_t> rows = seen_rows(length, options.max_tokens);
  std::erase_if(rows, [&](int64_t row) { return row >= computed; });
  result.states.reshape(static_cast<int64_t>(rows.size()), all.cols());
  for (size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(all.row(rows[i]), all.cols(), result.states.row(static_cast<int64_t>(i)));
    result.mask.push_back(result.full_mask[static_cast<size_t>(rows[i])]);
  }
  return result;
}

}  // namespace stamp
