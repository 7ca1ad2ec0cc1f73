#include "stamp/text/tokenizer.h"

#include <algorithm>
#include <unordered_map>

#include "stamp/core/error.h"
#include "stamp/text/added_tokens.h"
#include "stamp/text/bpe.h"
#include "stamp/text/byte_alphabet.h"
#include "stamp/text/split_regex.h"
#include "stamp/text/tokenizer_file.h"
#include "stamp/text/unicode.h"

namespace stamp {
namespace {

/// Tokens that are sought in normalized text are normalized themselves.
std::vector<AddedToken> normalized_added_tokens(const TokenizerSpec& spec) {
  std::vector<AddedToken> result = spec.added_tokens;
  for (AddedToken& token : result)
    if (spec.nfc && token.normalized) token.content = to_nfc(token.content);
  return result;
}

std::vector<AddedToken> select(std::vector<AddedToken> tokens, bool normalized) {
  std::erase_if(tokens, [&](const AddedToken& token) { return token.normalized != normalized; });
  return tokens;
}

std::vector<SplitRegex> compile(const std::vector<std::string>& patterns) {
  std::vector<SplitRegex> result;
  for (const std::string& pattern : patterns) result.emplace_back(pattern);
  return result;
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerSpec spec)
      : nfc(spec.nfc),
        added(normalized_added_tokens(spec)),
        raw_tokens(select(added, false)),
        normalized_tokens(select(added, true)),
        splits(compile(spec.split_regexes)),
        bpe(std::move(spec.vocabulary), spec.merges, spec.ignore_merges),
        prefix(std::move(spec.prefix)),
        suffix(std::move(spec.suffix)) {
    for (const auto& [token, id] : bpe.vocabulary()) bytes_at(id) = spelled_bytes(token);
    for (const AddedToken& token : added) {
      bytes_at(token.id) = spelled_bytes(token.content);
      added_ids.emplace(token.content, token.id);
    }
    special.resize(bytes.size());
    for (const AddedToken& token : added) special[static_cast<size_t>(token.id)] = token.special;
  }

  std::string& bytes_at(int32_t id) {
    const auto index = static_cast<size_t>(id);
    if (index >= bytes.size()) bytes.resize(index + 1);
    return bytes[index];
  }

  size_t checked(int32_t id) const {
    if (id < 0 || static_cast<size_t>(id) >= bytes.size())
      throw_argument("tokenizer: expected an id in [0, {}), got {}", bytes.size(), id);
    return static_cast<size_t>(id);
  }

  /// Text without added tokens.
  void encode_plain(std::string_view text, std::vector<int32_t>& ids) const {
    std::vector<std::string_view> pieces{text}, finer;
    for (const SplitRegex& split : splits) {
      finer.clear();
      for (const std::string_view piece : pieces) split.split(piece, finer);
      pieces.swap(finer);
    }
    for (const std::string_view piece : pieces) bpe.encode(piece, ids);
  }

  /// Text without raw added tokens.
  void encode_normalized(std::string_view text, std::vector<int32_t>& ids) const {
    const std::string normal = nfc ? to_nfc(text) : std::string(text);
    for (const Section& section : normalized_tokens.cut(normal)) {
      if (section.id >= 0)
        ids.push_back(section.id);
      else
        encode_plain(section.text, ids);
    }
  }

  bool nfc;
  std::vector<AddedToken> added;
  AddedTokenMatcher raw_tokens, normalized_tokens;
  std::vector<SplitRegex> splits;
  Bpe bpe;
  std::vector<int32_t> prefix, suffix;
  std::vector<std::string> bytes;  // by id; empty where there is no token
  std::vector<bool> special;       // by id
  std::unordered_map<std::string, int32_t> added_ids;
  int32_t eos_id = -1;
};

Tokenizer::Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::filesystem::path& directory) {
  TokenizerSpec spec = read_tokenizer_file(directory / "tokenizer.json");
  const TokenizerConfig config = read_tokenizer_config(directory);
  apply_config(spec, config, (directory / "tokenizer_config.json").string());
  Tokenizer result;
  result.impl_ = std::make_unique<Impl>(std::move(spec));
  result.impl_->eos_id = result.id_of(config.special_token("eos_token"));
  return result;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special) const {
  const std::string valid = replace_invalid_utf8(text);
  std::vector<int32_t> ids;
  if (add_special) ids = impl_->prefix;
  for (const Section& section : impl_->raw_tokens.cut(valid)) {
    if (section.id >= 0)
      ids.push_back(section.id);
    else
      impl_->encode_normalized(section.text, ids);
  }
  if (add_special) ids.insert(ids.end(), impl_->suffix.begin(), impl_->suffix.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (const int32_t id : ids)
    if (!skip_special || !is_special(id)) bytes += impl_->bytes[impl_->checked(id)];
  return replace_invalid_utf8(bytes);
}

std::string Tokenizer::token_bytes(int32_t id) const { return impl_->bytes[impl_->checked(id)]; }

bool Tokenizer::is_special(int32_t id) const { return impl_->special[impl_->checked(id)]; }

int32_t Tokenizer::id_of(std::string_view token) const {
  const std::string key(token);
  const auto added = impl_->added_ids.find(key);
  if (added != impl_->added_ids.end()) return added->second;
  const auto found = impl_->bpe.vocabulary().find(key);
  return found == impl_->bpe.vocabulary().end() ? -1 : found->second;
}

int32_t Tokenizer::bos_id() const { return impl_->prefix.empty() ? -1 : impl_->prefix.front(); }

int32_t Tokenizer::eos_id() const { return impl_->eos_id; }

int64_t Tokenizer::size() const { return static_cast<int64_t>(impl_->bytes.size()); }

}  // namespace stamp
