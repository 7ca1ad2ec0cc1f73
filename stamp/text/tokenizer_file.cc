#include "stamp/text/tokenizer_file.h"

#include <algorithm>
#include <unordered_set>

#include "stamp/core/error.h"
#include "stamp/io/config_reader.h"
#include "stamp/text/tokenizer_stages.h"

namespace stamp {
namespace {

bool flag(const ConfigReader& part, const char* key, bool otherwise = false) {
  return part.boolean(key).value_or(otherwise);
}

int32_t read_id(const ConfigReader& object, const char* key) {
  return static_cast<int32_t>(object.required(object.integer(key, 0, kMaxTokenId), key));
}

std::pair<std::string, std::string> read_merge(const ConfigReader& model, const Json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return {merge[0], merge[1]};
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const size_t blank = text.find(' ');
    if (blank != text.npos && text.find(' ', blank + 1) == text.npos)
      return {text.substr(0, blank), text.substr(blank + 1)};
  }
  throw_runtime("{}: merge {} is neither a pair nor \"left right\"", model.where(),
                merge.dump().substr(0, 200));
}

void check_bpe_options(const ConfigReader& model) {
  if (model.number("dropout", 0.0, 1.0).value_or(0.0) != 0.0)
    model.reject("dropout", "supported is null");
  if (const char* key = "continuing_subword_prefix"; !model.text(key).value_or("").empty())
    model.reject(key, "supported is null");
}

void read_bpe(const ConfigReader& root, const ConfigReader& model, TokenizerSpec& spec) {
  check_bpe_options(model);
  spec.ignore_merges = flag(model, "ignore_merges");
  spec.byte_fallback = flag(model, "byte_fallback");
  spec.model = spec.byte_fallback ? TokenModel::kCharacterBpe : TokenModel::kByteBpe;
  if (spec.byte_fallback && is_byte_level(root))
    model.reject("byte_fallback", "supported is false with a ByteLevel pre-tokenizer");
  spec.word_suffix = model.text("end_of_word_suffix").value_or("");
  if (spec.byte_fallback && !spec.word_suffix.empty())
    model.reject("end_of_word_suffix", "supported is null with byte_fallback");
  const auto vocabulary = model.required(model.object("vocab"), "vocab");
  for (const auto& [token, id] : model.find("vocab")->items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > uint64_t{kMaxTokenId})
      vocabulary.reject(token, fmt::format("expected an id in [0, {}]", kMaxTokenId));
    spec.vocabulary.emplace(token, id.get<int32_t>());
  }
  const Json* merges = model.find("merges");
  if (merges == nullptr || !merges->is_array()) model.reject("merges", "expected a list");
  for (const Json& merge : *merges) spec.merges.push_back(read_merge(model, merge));
}

void read_unigram(const ConfigReader& model, TokenizerSpec& spec) {
  spec.model = TokenModel::kUnigram;
  if (flag(model, "byte_fallback")) model.reject("byte_fallback", "supported is false");
  const Json* pieces = model.find("vocab");
  if (pieces == nullptr || !pieces->is_array()) model.reject("vocab", "expected a list");
  const auto count = static_cast<int64_t>(pieces->size());
  if (count > kMaxTokenId) model.reject("vocab", fmt::format("expected at most {}", kMaxTokenId));
  for (const Json& piece : *pieces) {
    if (!piece.is_array() || piece.size() != 2 || !piece[0].is_string() || !piece[1].is_number())
      throw_runtime("{}: the piece {} is no pair of text and score", model.where(),
                    piece.dump().substr(0, 200));
    const auto id = static_cast<int32_t>(spec.scores.size());
    if (!spec.vocabulary.emplace(piece[0].get<std::string>(), id).second)
      throw_runtime("{}: the piece {} stands twice", model.where(), piece[0].dump());
    spec.scores.push_back(piece[1].get<double>());
  }
  const auto unknown = model.required(model.integer("unk_id", 0, count - 1), "unk_id");
  spec.unknown = static_cast<int32_t>(unknown);
}

void read_model(const ConfigReader& root, TokenizerSpec& spec) {
  const auto model = root.required(root.object("model"), "model");
  const std::string type = model.text("type").value_or("BPE");
  if (type == "BPE") return read_bpe(root, model, spec);
  if (type != "Unigram") model.reject("type", "unsupported; supported are \"BPE\" and \"Unigram\"");
  read_unigram(model, spec);
}

void read_added_tokens(const ConfigReader& root, TokenizerSpec& spec) {
  const Json* list = root.find("added_tokens");
  if (list == nullptr) return;
  if (!list->is_array()) root.reject("added_tokens", "expected a list");
  for (const Json& element : *list) {
    const ConfigReader entry(element, root.where() + ": added_tokens");
    AddedToken token{.id = read_id(entry, "id"),
                     .content = entry.required(entry.text("content"), "content")};
    token.special = flag(entry, "special");
    token.normalized = flag(entry, "normalized", !token.special);
    token.single_word = flag(entry, "single_word");
    token.lstrip = flag(entry, "lstrip");
    token.rstrip = flag(entry, "rstrip");
    spec.added_tokens.push_back(std::move(token));
  }
}

/// Ids beside a text when tokenizer_config.json says whether `key` stands there.
std::vector<int32_t> configured_side(const TokenizerSpec& spec, const TokenizerConfig& config,
                                     bool present, const char* key, const std::string& where) {
  const std::string content = config.special_token(key);
  if (!present || content.empty()) return {};
  const int32_t id = id_of(spec, content);
  if (id < 0) throw_runtime("{}: '{}' is '{}', which is no token", where, key, content);
  return {id};
}

}  // namespace

/// One id, one text; an added token may repeat an entry of the vocabulary.
void check_ids(const TokenizerSpec& spec, const std::string& where) {
  std::unordered_set<int32_t> ids;
  for (const auto& [token, id] : spec.vocabulary)
    if (!ids.insert(id).second) throw_runtime("{}: id {} ('{}') is used twice", where, id, token);
  std::unordered_set<std::string> contents;
  for (const AddedToken& token : spec.added_tokens) {
    const auto same = spec.vocabulary.find(token.content);
    const bool repeats = same != spec.vocabulary.end() && same->second == token.id;
    const bool is_new = same == spec.vocabulary.end() && ids.insert(token.id).second;
    if (!contents.insert(token.content).second || !(repeats || is_new))
      throw_runtime("{}: added token '{}' with id {} clashes with another token", where,
                    token.content, token.id);
  }
  for (const auto* side : {&spec.prefix, &spec.suffix})
    for (const int32_t id : *side)
      if (!ids.contains(id)) throw_runtime("{}: the template uses the unknown id {}", where, id);
}

int32_t id_of(const TokenizerSpec& spec, const std::string& content) {
  for (const AddedToken& token : spec.added_tokens)
    if (token.content == content) return token.id;
  const auto found = spec.vocabulary.find(content);
  return found == spec.vocabulary.end() ? -1 : found->second;
}

void apply_config(TokenizerSpec& spec, const TokenizerConfig& config, const std::string& where) {
  std::unordered_set<int32_t> known;
  for (const AddedToken& token : spec.added_tokens) known.insert(token.id);
  for (const AddedToken& token : config.added_tokens)
    if (known.insert(token.id).second) spec.added_tokens.push_back(token);
  if (config.add_bos_token)
    spec.prefix = configured_side(spec, config, *config.add_bos_token, "bos_token", where);
  if (config.add_eos_token)
    spec.suffix = configured_side(spec, config, *config.add_eos_token, "eos_token", where);
  check_ids(spec, where);
}

TokenizerSpec read_tokenizer_file(const Json& json, const std::string& where) {
  const ConfigReader root(json, where);
  TokenizerSpec spec;
  read_model(root, spec);
  read_tokenizer_stages(root, spec);
  read_added_tokens(root, spec);
  check_ids(spec, where);
  return spec;
}

}  // namespace stamp
