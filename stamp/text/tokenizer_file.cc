#include "stamp/text/tokenizer_file.h"

#include <algorithm>
#include <functional>
#include <unordered_set>

#include "stamp/core/error.h"
#include "stamp/io/config_reader.h"

namespace stamp {
namespace {

constexpr int64_t kMaxId = (int64_t{1} << 22) - 1;  // ids index tables
// What a ByteLevel pre-tokenizer with use_regex splits by.
constexpr const char* kByteLevelRegex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

std::string type_of(const ConfigReader& part) { return part.required(part.text("type"), "type"); }

bool flag(const ConfigReader& part, const char* key, bool otherwise = false) {
  return part.boolean(key).value_or(otherwise);
}

int32_t read_id(const ConfigReader& object, const char* key) {
  return static_cast<int32_t>(object.required(object.integer(key, 0, kMaxId), key));
}

/// Calls `visit` for the component root[key], or for those of a Sequence, whose list is `list_key`.
void for_each_component(const ConfigReader& root, const char* key, const char* list_key,
                        const std::function<void(const ConfigReader&)>& visit) {
  const auto component = root.object(key);
  if (!component) return;
  if (type_of(*component) != "Sequence") return visit(*component);
  const Json* list = component->find(list_key);
  if (list == nullptr || !list->is_array()) component->reject(list_key, "expected a list");
  for (const Json& element : *list) visit(ConfigReader(element, component->where()));
}

void read_normalizer(const ConfigReader& root, TokenizerSpec& spec) {
  for_each_component(root, "normalizer", "normalizers", [&](const ConfigReader& part) {
    if (type_of(part) != "NFC") part.reject("type", "unsupported; supported is \"NFC\"");
    spec.nfc = true;
  });
}

void read_split(const ConfigReader& part, TokenizerSpec& spec) {
  const auto pattern = part.required(part.object("pattern"), "pattern");
  if (part.text("behavior") != "Isolated") part.reject("behavior", "supported is \"Isolated\"");
  if (flag(part, "invert")) part.reject("invert", "supported is false");
  spec.split_regexes.push_back(pattern.required(pattern.text("Regex"), "Regex"));
}

void read_pre_tokenizer(const ConfigReader& root, TokenizerSpec& spec) {
  bool byte_level = false;
  for_each_component(root, "pre_tokenizer", "pretokenizers", [&](const ConfigReader& part) {
    const std::string type = type_of(part);
    if (byte_level) part.reject("type", "nothing may follow ByteLevel");
    if (type == "Split") return read_split(part, spec);
    if (type != "ByteLevel")
      part.reject("type", "unsupported; supported are \"Split\" and \"ByteLevel\"");
    byte_level = true;
    if (flag(part, "add_prefix_space", true)) part.reject("add_prefix_space", "supported is false");
    if (flag(part, "use_regex", true)) spec.split_regexes.push_back(kByteLevelRegex);
  });
  if (!byte_level) root.reject("pre_tokenizer", "expected one that ends with ByteLevel");
}

void check_decoder(const ConfigReader& root) {
  bool byte_level = false;
  for_each_component(root, "decoder", "decoders", [&](const ConfigReader& part) {
    if (type_of(part) != "ByteLevel") part.reject("type", "supported is \"ByteLevel\"");
    byte_level = true;
  });
  if (!byte_level) root.reject("decoder", "expected ByteLevel");
}

/// Ids of a template's special token, which may be several.
std::vector<int32_t> special_ids(const ConfigReader& part, const std::string& name) {
  const auto table = part.required(part.object("special_tokens"), "special_tokens");
  const auto entry = table.required(table.object(name), name);
  std::vector<int32_t> result;
  for (const int64_t id : entry.required(entry.integers("ids", 0, kMaxId), "ids"))
    result.push_back(static_cast<int32_t>(id));
  return result;
}

void read_template(const ConfigReader& part, TokenizerSpec& spec) {
  const Json* single = part.find("single");
  if (single == nullptr || !single->is_array()) part.reject("single", "expected a list");
  int texts = 0;
  for (const Json& element : *single) {
    const ConfigReader item(element, part.where() + ": single");
    if (const auto token = item.object("SpecialToken")) {
      auto& side = texts == 0 ? spec.prefix : spec.suffix;
      for (const int32_t id : special_ids(part, token->required(token->text("id"), "id")))
        side.push_back(id);
    } else {
      const auto sequence = item.required(item.object("Sequence"), "Sequence");
      if (sequence.text("id") != "A") sequence.reject("id", "expected \"A\"");
      ++texts;
    }
  }
  if (texts != 1) part.reject("single", "expected the text exactly once");
}

void read_post_processor(const ConfigReader& root, TokenizerSpec& spec) {
  bool has_template = false;
  for_each_component(root, "post_processor", "processors", [&](const ConfigReader& part) {
    const std::string type = type_of(part);
    if (type == "ByteLevel") return;  // adjusts offsets only
    if (type != "TemplateProcessing" || has_template)
      part.reject("type", "supported are \"ByteLevel\" and one \"TemplateProcessing\"");
    has_template = true;
    read_template(part, spec);
  });
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

void check_model_options(const ConfigReader& model) {
  if (model.text("type").value_or("BPE") != "BPE")
    model.reject("type", "unsupported; supported is \"BPE\"");
  if (flag(model, "byte_fallback")) model.reject("byte_fallback", "supported is false");
  if (model.number("dropout", 0.0, 1.0).value_or(0.0) != 0.0)
    model.reject("dropout", "supported is null");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!model.text(key).value_or("").empty()) model.reject(key, "supported is null");
}

void read_model(const ConfigReader& root, TokenizerSpec& spec) {
  const auto model = root.required(root.object("model"), "model");
  check_model_options(model);
  spec.ignore_merges = flag(model, "ignore_merges");
  const auto vocabulary = model.required(model.object("vocab"), "vocab");
  for (const auto& [token, id] : model.find("vocab")->items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > uint64_t{kMaxId})
      vocabulary.reject(token, fmt::format("expected an id in [0, {}]", kMaxId));
    spec.vocabulary.emplace(token, id.get<int32_t>());
  }
  const Json* merges = model.find("merges");
  if (merges == nullptr || !merges->is_array()) model.reject("merges", "expected a list");
  for (const Json& merge : *merges) spec.merges.push_back(read_merge(model, merge));
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

void apply_config(TokenizerSpec& spec, const TokenizerConfig& config, const std::string& where) {
  for (const AddedToken& token : config.added_tokens) {
    const bool known = std::any_of(spec.added_tokens.begin(), spec.added_tokens.end(),
                                   [&](const AddedToken& other) { return other.id == token.id; });
    if (!known) spec.added_tokens.push_back(token);
  }
  if (config.add_bos_token)
    spec.prefix = configured_side(spec, config, *config.add_bos_token, "bos_token", where);
  if (config.add_eos_token)
    spec.suffix = configured_side(spec, config, *config.add_eos_token, "eos_token", where);
  check_ids(spec, where);
}

TokenizerSpec read_tokenizer_file(const std::filesystem::path& path) {
  const Json json = read_json(path);
  const ConfigReader root(json, path.string());
  TokenizerSpec spec;
  read_model(root, spec);
  read_normalizer(root, spec);
  read_pre_tokenizer(root, spec);
  read_post_processor(root, spec);
  check_decoder(root);
  read_added_tokens(root, spec);
  check_ids(spec, path.string());
  return spec;
}

}  // namespace stamp
