#include "stamp/text/tokenizer.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "stamp/core/error.h"
#include "stamp/io/model_files.h"
#include "stamp/text/added_tokens.h"
#include "stamp/text/bpe.h"
#include "stamp/text/byte_alphabet.h"
#include "stamp/text/clip_vocabulary.h"
#include "stamp/text/normalizers.h"
#include "stamp/text/prompt_text.h"
#include "stamp/text/sentencepiece_file.h"
#include "stamp/text/split_regex.h"
#include "stamp/text/tokenizer_file.h"
#include "stamp/text/unicode.h"
#include "stamp/text/unigram.h"

namespace stamp {
namespace {

/// The steps of normalization that work on single characters.
std::string change_characters(const TokenizerSpec& spec, std::string text) {
  if (spec.nfc) text = to_nfc(text);
  if (spec.collapse_white_space) text = collapse_white_space(text);
  if (spec.lower_case) text = lower_characters(text);
  return text;
}

/// Tokens that are sought in normalized text are normalized themselves.
std::vector<AddedToken> normalized_added_tokens(const TokenizerSpec& spec) {
  std::vector<AddedToken> result = spec.added_tokens;
  for (AddedToken& token : result)
    if (token.normalized) token.content = change_characters(spec, std::move(token.content));
  return result;
}

std::vector<AddedToken> select(std::vector<AddedToken> tokens, bool normalized) {
  std::erase_if(tokens, [&](const AddedToken& token) { return token.normalized != normalized; });
  return tokens;
}

std::vector<SplitRegex> compile(const std::vector<SplitStage>& stages) {
  std::vector<SplitRegex> result;
  for (const SplitStage& stage : stages) result.emplace_back(stage.regex, stage.matches_only);
  return result;
}

BpeOptions bpe_options(const TokenizerSpec& spec) {
  return {.ignore_merges = spec.ignore_merges,
          .characters = spec.model == TokenModel::kCharacterBpe,
          .unknown = spec.unknown,
          .byte_fallback = spec.byte_fallback,
          .word_suffix = spec.word_suffix};
}

Unigram make_unigram(const TokenizerSpec& spec) {
  std::vector<Unigram::Piece> pieces;
  for (const auto& [text, id] : spec.vocabulary)
    if (const double score = spec.scores[static_cast<size_t>(id)]; !std::isnan(score))
      pieces.push_back({text, score, id});
  return Unigram(std::move(pieces), spec.unknown);
}

std::string config_file(const std::filesystem::path& directory) {
  return (directory / "tokenizer_config.json").string();
}

std::optional<std::filesystem::path> sentencepiece_model(const std::filesystem::path& directory) {
  std::error_code ignored;
  for (const char* name : {"spiece.model", "tokenizer.model"})
    if (std::filesystem::exists(directory / name, ignored)) return directory / name;
  return std::nullopt;
}

/// The byte of a token such as "<0x0A>".
std::optional<char> fallback_byte(const TokenizerSpec& spec, const std::string& token) {
  if (!spec.byte_fallback || token.size() != 6) return std::nullopt;
  for (int byte = 0; byte < 256; ++byte)
    if (token == byte_token(static_cast<uint8_t>(byte))) return static_cast<char>(byte);
  return std::nullopt;
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerSpec given)
      : spec(std::move(given)),
        added(normalized_added_tokens(spec)),
        raw_tokens(select(added, false)),
        normalized_tokens(select(added, true)),
        splits(compile(spec.splits)) {
    if (spec.model == TokenModel::kUnigram)
      unigram.emplace(make_unigram(spec));
    else
      bpe.emplace(spec.vocabulary, spec.merges, bpe_options(spec));
    for (const auto& [token, id] : spec.vocabulary) set_text(id, token);
    for (const AddedToken& token : added) set_text(token.id, token.content);
    bytes.emplace_back();
    is_byte.push_back(false);
    special.resize(bytes.size());
    for (const AddedToken& token : added) special[static_cast<size_t>(token.id)] = token.special;
    spec.merges.clear();
  }

  /// What `token` stands for in texts.
  void set_text(int32_t id, const std::string& token) {
    const auto index = static_cast<size_t>(id);
    if (index >= bytes.size()) {
      bytes.resize(index + 1);
      is_byte.resize(index + 1);
    }
    const auto byte = fallback_byte(spec, token);
    is_byte[index] = byte.has_value();
    const bool ends_word = !spec.word_suffix.empty() && token.ends_with(spec.word_suffix);
    bytes[index] =
        ends_word ? spelled_bytes(token.substr(0, token.size() - spec.word_suffix.size())) + " "
        : spec.model == TokenModel::kByteBpe ? spelled_bytes(token)
        : byte                               ? std::string(1, *byte)
                                             : replace_all(token, kSpaceMark, " ");
  }

  /// Of `bytes`, `is_byte` and `special`: the last row for ids beyond the vocabulary.
  size_t row(int32_t id) const {
    if (id < 0) throw_argument("tokenizer: expected an id that is not negative, got {}", id);
    return std::min(static_cast<size_t>(id), bytes.size() - 1);
  }

  /// Text without added tokens.
  void encode_plain(std::string_view text, std::vector<int32_t>& ids) const {
    if (spec.spaces != SpaceRule::kKeep) {
      std::vector<std::string> pieces;
      apply_space_rule(spec.spaces, text, pieces);
      for (const std::string& piece : pieces) encode_piece(piece, ids);
      return;
    }
    std::vector<std::string_view> pieces{text}, finer;
    for (const SplitRegex& split : splits) {
      finer.clear();
      for (const std::string_view piece : pieces) split.split(piece, finer);
      pieces.swap(finer);
    }
    for (const std::string_view piece : pieces) encode_piece(piece, ids);
  }

  void encode_piece(std::string_view piece, std::vector<int32_t>& ids) const {
    if (unigram)
      unigram->encode(piece, ids);
    else
      bpe->encode(piece, ids);
  }

  std::string normalized(std::string_view text) const {
    std::string result = change_characters(spec, std::string(text));
    if (spec.charsmap.empty()) return result;
    return spec.spaces == SpaceRule::kWords ? spec.charsmap.normalize_graphemes(result)
                                            : spec.charsmap.normalize(result);
  }

  /// Text without raw added tokens.
  void encode_normalized(std::string_view text, std::vector<int32_t>& ids) const {
    const std::string normal = normalized(text);
    for (const Section& section : normalized_tokens.cut(normal)) {
      if (section.id >= 0)
        ids.push_back(section.id);
      else
        encode_plain(section.text, ids);
    }
  }

  TokenizerSpec spec;
  std::vector<AddedToken> added;
  AddedTokenMatcher raw_tokens, normalized_tokens;
  std::vector<SplitRegex> splits;
  std::optional<Bpe> bpe;
  std::optional<Unigram> unigram;
  // By id, and one row more: for ids that models have and the vocabulary has not.
  std::vector<std::string> bytes;  // empty where there is no token
  std::vector<bool> is_byte;       // stands for one byte of a character
  std::vector<bool> special;
  int32_t eos_id = -1, pad_id = -1;
};

Tokenizer::Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::make(TokenizerSpec spec, const TokenizerConfig& config,
                          const std::string& where) {
  apply_config(spec, config, where);
  Tokenizer result;
  result.impl_ = std::make_unique<Impl>(std::move(spec));
  result.impl_->eos_id = result.id_of(config.special_token("eos_token"));
  result.impl_->pad_id = result.id_of(config.special_token("pad_token"));
  return result;
}

Tokenizer Tokenizer::load(const std::filesystem::path& model) {
  const std::string file = "tokenizer.json";
  const bool has_file = has_model_json(model, file);
  if (!has_file && sentencepiece_model(model)) return load_sentencepiece(model);
  const TokenizerConfig config = read_tokenizer_config(model);
  if (!has_file && is_clip_vocabulary(model, config))
    return make(read_clip_vocabulary(model, config), config, config_file(model));
  return make(read_tokenizer_file(read_model_json(model, file), (model / file).string()), config,
              config_file(model));
}

Tokenizer Tokenizer::load_sentencepiece(const std::filesystem::path& directory) {
  const auto file = sentencepiece_model(directory);
  if (!file)
    throw_runtime("{}: there is neither spiece.model nor tokenizer.model", directory.string());
  const TokenizerConfig config = read_tokenizer_config(directory);
  return make(read_sentencepiece_file(*file, config), config, config_file(directory));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special) const {
  const std::string valid = replace_invalid_utf8(text);
  std::vector<int32_t> ids;
  if (add_special) ids = impl_->spec.prefix;
  for (const Section& section : impl_->raw_tokens.cut(valid)) {
    if (section.id >= 0)
      ids.push_back(section.id);
    else
      impl_->encode_normalized(section.text, ids);
  }
  if (add_special) ids.insert(ids.end(), impl_->spec.suffix.begin(), impl_->spec.suffix.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  const SpaceRule spaces = impl_->spec.spaces;
  std::string text, run;  // `run`: of tokens that are single bytes, valid as a whole or not at all
  const auto end_run = [&] {
    if (replace_invalid_utf8(run) == run)
      text += run;
    else
      for (size_t i = 0; i < run.size(); ++i) append_utf8(0xFFFD, text);
    run.clear();
  };
  bool first = true;
  for (const int32_t id : ids) {
    if (skip_special && is_special(id)) continue;
    std::string bytes = impl_->bytes[impl_->row(id)];
    if (impl_->is_byte[impl_->row(id)]) {
      run += bytes;
      continue;
    }
    end_run();
    // The mark before the first word is no blank of the text.
    if (first && (spaces == SpaceRule::kWords || spaces == SpaceRule::kCollapse))
      bytes = replace_all(bytes, " ", "");
    first = false;
    text += bytes;
  }
  end_run();
  // A word's end is a blank, also that of the last one.
  return replace_invalid_utf8(impl_->spec.word_suffix.empty() ? text : strip(text));
}

std::string Tokenizer::token_bytes(int32_t id) const { return impl_->bytes[impl_->row(id)]; }

bool Tokenizer::is_special(int32_t id) const { return impl_->special[impl_->row(id)]; }

int32_t Tokenizer::id_of(std::string_view token) const {
  return stamp::id_of(impl_->spec, std::string(token));
}

int32_t Tokenizer::bos_id() const {
  return impl_->spec.prefix.empty() ? -1 : impl_->spec.prefix.front();
}

int32_t Tokenizer::eos_id() const { return impl_->eos_id; }

int32_t Tokenizer::pad_id() const { return impl_->pad_id; }

int64_t Tokenizer::size() const { return static_cast<int64_t>(impl_->bytes.size()) - 1; }

}  // namespace stamp
