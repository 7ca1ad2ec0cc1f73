#pragma once
// The K/V cache of a prompt in a file, so that another run need not compute the prompt again.
#include <filesystem>
#include <span>

#include "stamp/pipelines/text_model.h"

namespace stamp {

struct PromptCacheOptions {
  std::filesystem::path load_cache, save_cache;  // empty: none
};

/// A session that holds a prompt.
struct OpenedPrompt {
  TokenSession session;
  int64_t reused = 0;  // tokens of the prompt that came from a file
};

/// A session that holds `prompt` and has room for `max_new_tokens` more, as far as the model has
/// positions. With `load_cache` the first tokens of the prompt, as many as it has in common with
/// that file, are not computed: all of them when the prompt is the saved one, which then continues
/// with the bits it had; else, under a packed cache, whole blocks of 64. An empty prompt stands for
/// the saved one. With `save_cache` the prompt is computed and written, atomically, before anything
/// is generated; when interrupted, nothing is written.
/// Throws std::invalid_argument for a prompt that is empty or too long; std::runtime_error naming
/// the file when it is none of these caches, damaged, or made by another model, recipe,
/// calibration, arithmetic or version of the layout.
OpenedPrompt open_prompt(const TextModel& text, std::span<const int32_t> prompt,
                         int64_t max_new_tokens, const PromptCacheOptions& options,
                         ForwardContext& context);

/// What a session has computed, at least one token and all that it holds, as a safetensors file:
/// the tensors of kv_cache_file.h, "ids" (I32 [tokens]), "hidden" (F32 [1, hidden_size], the state
/// after the last token) and "sha256" (U8 [64], hexadecimal, of all others). Its metadata say what
/// it belongs to.
void save_prompt_cache(const std::filesystem::path& file, const TextModel& text, Compute compute,
                       const TokenSession& session);
/// The session of such a file, with room for that prompt or for `prompt` if it is longer, and for
/// `max_new_tokens` more, as far as the model has positions.
TokenSession load_prompt_cache(const std::filesystem::path& file, const TextModel& text,
                               Compute compute, std::span<const int32_t> prompt,
                               int64_t max_new_tokens);

}  // namespace stamp
