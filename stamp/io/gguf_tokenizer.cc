#include <array>

#include "stamp/io/config_reader.h"
#include "stamp/io/gguf_model.h"

namespace stamp {
namespace {

constexpr int64_t kMaxId = (int64_t{1} << 22) - 1;
enum TokenType : int64_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

/// How text is cut before byte pairs are merged, by the name that files give it.
struct PreTokenizer {
  std::string_view name;
  const char* regex;  // of a Split; null: none
  bool gpt2_regex;    // then by the one that ByteLevel has built in
  bool nfc, ignore_merges, adds_bos;
};
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::array kPreTokenizers = {
    PreTokenizer{"llama-bpe", kLlama3, false, false, true, true},
    PreTokenizer{"llama3", kLlama3, false, false, true, true},
    PreTokenizer{"llama-v3", kLlama3, false, false, true, true},
    PreTokenizer{"qwen2", kQwen2, false, true, false, false},
    PreTokenizer{"smollm", R"(\p{N})", true, false, false, false},
    PreTokenizer{"gpt-2", nullptr, true, false, false, false}};

class TokenizerWriter {
 public:
  explicit TokenizerWriter(const Gguf& file)
      : file_(file), metadata_(file.metadata(), file.path().string()) {}

  const PreTokenizer& pre_tokenizer() const {
    const char* key = "tokenizer.ggml.pre";
    const std::string name = metadata_.text(key).value_or("default");
    std::string known;
    for (const PreTokenizer& row : kPreTokenizers) {
      if (row.name == name) return row;
      known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", row.name);
    }
    metadata_.reject(key, "supported are " + known);
  }

  void check_model() const {
    const char* key = "tokenizer.ggml.model";
    if (metadata_.required(metadata_.text(key), key) != "gpt2")
      metadata_.reject(key, R"(supported is "gpt2", byte-level BPE)");
  }

  Json tokenizer() const {
    check_model();
    const PreTokenizer& pre = pre_tokenizer();
    Json vocabulary = Json::object(), added = Json::array();
    const Json tokens = texts("tokenizer.ggml.tokens");
    const Json types = numbers("tokenizer.ggml.token_type", tokens.size());
    for (size_t id = 0; id < tokens.size(); ++id) {
      const auto& token = tokens[id].get_ref<const std::string&>();
      const int64_t type = types.empty() ? int64_t{kNormal} : types[id].get<int64_t>();
      if (type == kUnused) continue;
      if (type == kControl || type == kUserDefined)
        added.push_back(
            {{"id", id}, {"content", token}, {"special", type == kControl}, {"normalized", false}});
      else if (!vocabulary.emplace(token, id).second)
        throw_runtime("{}: the token '{}' stands twice", metadata_.where(), token.substr(0, 100));
    }
    return {{"model",
             {{"type", "BPE"},
              {"ignore_merges", pre.ignore_merges},
              {"vocab", std::move(vocabulary)},
              {"merges", texts("tokenizer.ggml.merges")}}},
            {"added_tokens", std::move(added)},
            {"normalizer", pre.nfc ? Json{{"type", "NFC"}} : Json()},
            {"pre_tokenizer", pre_tokenizer_json(pre)},
            {"post_processor", nullptr},
            {"decoder", {{"type", "ByteLevel"}}}};
  }

  Json config() const {
    Json config = Json::object();
    const auto special = [&](const char* name, const char* key) {
      const auto id = metadata_.integer(std::string("tokenizer.ggml.") + key, 0, kMaxId);
      if (id) config[name] = token(*id);
    };
    special("bos_token", "bos_token_id");
    special("eos_token", "eos_token_id");
    special("pad_token", "padding_token_id");
    const auto flag = [&](const char* name, bool otherwise) {
      return metadata_.boolean(std::string("tokenizer.ggml.") + name).value_or(otherwise);
    };
    config["add_bos_token"] = flag("add_bos_token", pre_tokenizer().adds_bos);
    config["add_eos_token"] = flag("add_eos_token", false);
    if (const auto source = metadata_.text("tokenizer.chat_template"))
      config["chat_template"] = *source;
    config["tokenizer_class"] = "PreTrainedTokenizerFast";
    return config;
  }

 private:
  static Json pre_tokenizer_json(const PreTokenizer& pre) {
    Json parts = Json::array();
    if (pre.regex != nullptr)
      parts.push_back({{"type", "Split"},
                       {"pattern", {{"Regex", pre.regex}}},
                       {"behavior", "Isolated"},
                       {"invert", false}});
    parts.push_back(
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", pre.gpt2_regex}});
    return {{"type", "Sequence"}, {"pretokenizers", std::move(parts)}};
  }

  Json texts(const char* key) const {
    Json list = file_.array(key);
    for (const Json& value : list)
      if (!value.is_string()) throw_runtime("{}: '{}': expected texts", metadata_.where(), key);
    return list;
  }

  /// Empty when the file has no such array.
  Json numbers(const char* key, size_t count) const {
    if (!file_.has_array(key)) return Json::array();
    Json list = file_.array(key);
    bool valid = list.size() == count;
    for (const Json& value : list) valid = valid && value.is_number_integer();
    if (!valid)
      throw_runtime("{}: '{}': expected {} integers, one for each token", metadata_.where(), key,
                    count);
    return list;
  }

  std::string token(int64_t id) const {
    const Json tokens = texts("tokenizer.ggml.tokens");
    if (id >= static_cast<int64_t>(tokens.size()))
      throw_runtime("{}: a special token has id {}, there are {} tokens", metadata_.where(), id,
                    tokens.size());
    return tokens[static_cast<size_t>(id)].get<std::string>();
  }

  const Gguf& file_;
  ConfigReader metadata_;
};

}  // namespace

Json gguf_tokenizer(const Gguf& file) { return TokenizerWriter(file).tokenizer(); }

Json gguf_tokenizer_config(const Gguf& file) { return TokenizerWriter(file).config(); }

}  // namespace stamp
