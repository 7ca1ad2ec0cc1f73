#pragma once
// From a prompt to what a diffusion transformer is conditioned on.
#include "stamp/models/text_encoder.h"
#include "stamp/pipelines/image_directory.h"
#include "stamp/text/tokenizer.h"

namespace stamp {

struct PromptOptions {
  ImageFamily family = ImageFamily::kPixArt;
  int64_t max_tokens = 300;
  /// SANA: put before the prompt; all but the last max_tokens - 1 states (and the first) are cut
  /// off again.
  std::string instruction;
  bool keep_padding = false;  // compute states of padding, too, as the libraries do
};

struct EncodedPrompt {
  std::vector<int32_t> ids;        // with padding
  std::vector<uint8_t> full_mask;  // of the ids
  Matrix states;                   // [tokens, hidden]; without padding unless asked for
  std::vector<uint8_t> mask;       // of the states
};

/// Ids of a prompt, lower case and stripped, cut and padded as the family's pipeline does. Invalid
/// UTF-8 throws std::invalid_argument.
std::vector<int32_t> prompt_ids(const Tokenizer& tokenizer, const std::string& prompt,
                                const PromptOptions& options, std::vector<uint8_t>& mask);
EncodedPrompt encode_prompt(const Tokenizer& tokenizer, const TextEncoder& encoder,
                            const std::string& prompt, const PromptOptions& options,
                            ForwardContext& context);

}  // namespace stamp
