#pragma once
// Tokenizers from Hugging Face's tokenizer.json (byte-level BPE of Llama 3, Qwen 2, CLIP and kin;
// Gemma's BPE; T5's unigrams), from SentencePiece's own model files and CLIP's vocabulary.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stamp {

class Tokenizer {
 public:
  /// Reads DIR/tokenizer.json, else DIR/spiece.model or DIR/tokenizer.model, else a CLIPTokenizer's
  /// DIR/vocab.json and DIR/merges.txt, and DIR/tokenizer_config.json if there is one; or the
  /// vocabulary of a GGUF file. See tokenizer_file.h, sentencepiece_file.h and clip_vocabulary.h
  /// for what is supported; everything else that changes ids is a std::runtime_error that names it.
  static Tokenizer load(const std::filesystem::path& model);
  /// The same from DIR/spiece.model or DIR/tokenizer.model even if there is a tokenizer.json.
  static Tokenizer load_sentencepiece(const std::filesystem::path& directory);
  /// From what a tokenizer's files say; `where` names tokenizer_config.json in errors. Throws like
  /// load().
  static Tokenizer make(struct TokenizerSpec spec, const struct TokenizerConfig& config,
                        const std::string& where);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Ids of UTF-8 text. Invalid UTF-8 is replaced by U+FFFD as Python's errors="replace" does.
  /// `add_special` applies the template (BOS for Llama 3).
  std::vector<int32_t> encode(std::string_view text, bool add_special = true) const;
  /// Text of ids; bytes that form no valid UTF-8 become U+FFFD. Ids without a token have no text:
  /// models pad their vocabularies and may generate such ids. Here and below, negative ids throw
  /// std::invalid_argument.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;
  /// Raw bytes of one id (a streaming printer joins them and waits for complete characters).
  std::string token_bytes(int32_t id) const;
  bool is_special(int32_t id) const;
  /// Id of an exact token text, or -1.
  int32_t id_of(std::string_view token) const;
  /// BOS id when the template prepends one, else -1.
  int32_t bos_id() const;
  /// Id of tokenizer_config.json's eos_token, else -1.
  int32_t eos_id() const;
  /// Id of tokenizer_config.json's pad_token, else -1.
  int32_t pad_id() const;
  /// Largest id + 1.
  int64_t size() const;

 private:
  Tokenizer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stamp
