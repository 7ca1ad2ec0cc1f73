#include "stamp/text/tokenizer_config.h"

#include <charconv>

#include "stamp/core/error.h"
#include "stamp/io/config_reader.h"
#include "stamp/io/model_files.h"

namespace stamp {
namespace {

constexpr int64_t kMaxTemplateBytes = int64_t{1} << 20;
constexpr int32_t kMaxId = (1 << 22) - 1;

/// A token is its text, or an object with its text as "content".
std::string token_text(const ConfigReader& root, const std::string& key) {
  const Json& value = *root.find(key);
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_object()) root.reject(key, "expected a text or an object with 'content'");
  const ConfigReader token(value, root.where() + ": " + key);
  return token.required(token.text("content"), "content");
}

AddedToken read_added_token(const ConfigReader& table, const std::string& key) {
  AddedToken token;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
  if (error != std::errc() || end != key.data() + key.size() || token.id < 0 || token.id > kMaxId)
    table.reject(key, fmt::format("the key: expected an id in [0, {}]", kMaxId));
  const ConfigReader entry = table.required(table.object(key), key);
  token.content = entry.required(entry.text("content"), "content");
  token.special = entry.boolean("special").value_or(false);
  token.normalized = entry.boolean("normalized").value_or(!token.special);
  token.single_word = entry.boolean("single_word").value_or(false);
  token.lstrip = entry.boolean("lstrip").value_or(false);
  token.rstrip = entry.boolean("rstrip").value_or(false);
  return token;
}

void read_chat_templates(const ConfigReader& root, TokenizerConfig& config) {
  const Json* value = root.find("chat_template");
  if (value == nullptr) return;
  if (value->is_string()) {
    config.chat_templates.emplace_back("default", value->get<std::string>());
    return;
  }
  if (!value->is_array()) root.reject("chat_template", "expected a text or a list");
  for (const Json& element : *value) {
    const ConfigReader entry(element, root.where() + ": chat_template");
    config.chat_templates.emplace_back(entry.required(entry.text("name"), "name"),
                                       entry.required(entry.text("template"), "template"));
  }
}

void read_config(const ConfigReader& root, TokenizerConfig& config) {
  for (const char* key :
       {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"})
    if (root.find(key)) config.special_tokens.emplace_back(key, token_text(root, key));
  config.tokenizer_class = root.text("tokenizer_class").value_or("");
  constexpr int kMaxExtra = 1 << 16;
  config.extra_ids = static_cast<int32_t>(root.integer("extra_ids", 0, kMaxExtra).value_or(100));
  config.add_bos_token = root.boolean("add_bos_token");
  config.add_eos_token = root.boolean("add_eos_token");
  if (const auto table = root.object("added_tokens_decoder"))
    for (const auto& [key, value] : root.find("added_tokens_decoder")->items())
      config.added_tokens.push_back(read_added_token(*table, key));
  read_chat_templates(root, config);
}

}  // namespace

TokenizerConfig read_tokenizer_config(const ConfigReader& root) {
  TokenizerConfig config;
  read_config(root, config);
  return config;
}

std::string TokenizerConfig::special_token(const std::string& name) const {
  for (const auto& [key, text] : special_tokens)
    if (key == name) return text;
  return "";
}

TokenizerConfig read_tokenizer_config(const std::filesystem::path& model) {
  TokenizerConfig config;
  const auto template_file = model / "chat_template.jinja";
  std::error_code ignored;
  if (std::filesystem::exists(template_file, ignored))
    config.chat_templates.emplace_back("default", read_text(template_file, kMaxTemplateBytes));
  const std::string file = "tokenizer_config.json";
  if (has_model_json(model, file)) {
    const Json json = read_model_json(model, file);
    read_config(ConfigReader(json, (model / file).string()), config);
  }
  return config;
}

}  // namespace stamp
