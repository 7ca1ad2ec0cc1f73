#include "stamp/text/tokenizer_stages.h"

#include <functional>

#include "stamp/core/error.h"

namespace stamp {
namespace {

// What a ByteLevel pre-tokenizer with use_regex splits by.
constexpr const char* kByteLevelRegex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

constexpr size_t kMaxTemplateIds = 1024;  // before a text, or after it

std::string type_of(const ConfigReader& part) { return part.required(part.text("type"), "type"); }

bool flag(const ConfigReader& part, const char* key, bool otherwise = false) {
  return part.boolean(key).value_or(otherwise);
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

/// The literal that a Split or Replace looks for; empty when it looks for a regex.
std::string literal(const ConfigReader& part) {
  const auto pattern = part.object("pattern");
  return pattern ? pattern->text("String").value_or("") : "";
}

void read_charsmap(const ConfigReader& part, TokenizerSpec& spec) {
  const char* key = "precompiled_charsmap";
  const auto blob = decode_base64(part.required(part.text(key), key));
  if (!blob) throw_runtime("{}: '{}' is not base64 text", part.where(), key);
  spec.charsmap = Charsmap(*blob, part.where());
}

/// CLIP's: runs of white space become one blank, then letters lower case. False: `part` is another.
bool read_lowering(const ConfigReader& part, const std::string& type, TokenizerSpec& spec) {
  if (type == "Lowercase") return spec.lower_case = true;
  const auto pattern = part.object("pattern");
  if (type != "Replace" || !pattern || pattern->text("Regex") != "\\s+" ||
      part.text("content") != " ")
    return false;
  return spec.collapse_white_space = true;
}

void read_normalizer(const ConfigReader& root, TokenizerSpec& spec) {
  for_each_component(root, "normalizer", "normalizers", [&](const ConfigReader& part) {
    const std::string type = type_of(part);
    const bool bytes = spec.model == TokenModel::kByteBpe;
    if (type == "NFC" && spec.lower_case)
      part.reject("type", "supported before \"Lowercase\" only");
    if (type == "NFC")
      spec.nfc = true;
    else if (bytes && read_lowering(part, type, spec))
      return;
    else if (type == "Precompiled" && !bytes)
      read_charsmap(part, spec);
    else if (type == "Replace" && !bytes && literal(part) == " " &&
             part.text("content") == std::string(kSpaceMark))
      spec.spaces = SpaceRule::kReplace;
    else
      part.reject("type", bytes ? "unsupported; supported are \"NFC\", \"Lowercase\" and the "
                                  "\"Replace\" of \\s+ by a blank"
                                : "unsupported; supported are \"NFC\", \"Precompiled\" and the "
                                  "\"Replace\" of blanks by U+2581");
  });
}

void read_split(const ConfigReader& part, TokenizerSpec& spec) {
  const auto pattern = part.required(part.object("pattern"), "pattern");
  const bool removed = part.text("behavior") == "Removed", inverted = flag(part, "invert");
  if (removed != inverted || !(removed || part.text("behavior") == "Isolated"))
    part.reject(inverted ? "invert" : "behavior",
                "supported are \"Isolated\", and \"Removed\" with \"invert\"");
  spec.splits.push_back({pattern.required(pattern.text("Regex"), "Regex"), removed});
}

void read_byte_level(const ConfigReader& root, TokenizerSpec& spec) {
  bool byte_level = false;
  for_each_component(root, "pre_tokenizer", "pretokenizers", [&](const ConfigReader& part) {
    const std::string type = type_of(part);
    if (byte_level) part.reject("type", "nothing may follow ByteLevel");
    if (type == "Split") return read_split(part, spec);
    if (type != "ByteLevel")
      part.reject("type", "unsupported; supported are \"Split\" and \"ByteLevel\"");
    byte_level = true;
    if (flag(part, "add_prefix_space", true)) part.reject("add_prefix_space", "supported is false");
    if (flag(part, "use_regex", true)) spec.splits.push_back({kByteLevelRegex});
  });
  if (!byte_level) root.reject("pre_tokenizer", "expected one that ends with ByteLevel");
}

/// T5: WhitespaceSplit, then Metaspace. Gemma: a Split at blanks, which marks have replaced by
/// then.
void read_marks(const ConfigReader& root, TokenizerSpec& spec) {
  bool words = false, marks = spec.spaces == SpaceRule::kReplace;
  for_each_component(root, "pre_tokenizer", "pretokenizers", [&](const ConfigReader& part) {
    const std::string type = type_of(part);
    if (type == "Split" && literal(part) == " " && marks) return;
    if (type == "WhitespaceSplit" && !marks) {
      words = true;
    } else if (type == "Metaspace" && words) {
      if (part.text("replacement").value_or("") != kSpaceMark)
        part.reject("replacement", "supported is U+2581");
      if (part.text("prepend_scheme").value_or("always") != "always")
        part.reject("prepend_scheme", "supported is \"always\"");
      spec.spaces = SpaceRule::kWords;
    } else {
      part.reject("type",
                  "unsupported; supported are "
                  "\"Metaspace\" after \"WhitespaceSplit\", and a \"Split\" at blanks "
                  "that U+2581 has replaced");
    }
  });
  if (spec.spaces == SpaceRule::kKeep)
    root.reject("pre_tokenizer", "expected one that marks blanks");
}

void check_decoder(const ConfigReader& root, const TokenizerSpec& spec) {
  const bool words = spec.spaces == SpaceRule::kWords;
  const std::string expected = spec.model == TokenModel::kByteBpe ? "ByteLevel"
                               : words                            ? "Metaspace"
                                                                  : "Replace ByteFallback Fuse";
  std::string names;
  for_each_component(root, "decoder", "decoders", [&](const ConfigReader& part) {
    const std::string type = type_of(part);
    if (expected.find(type) == expected.npos)
      part.reject("type", fmt::format("supported is \"{}\"", expected));
    names += (names.empty() ? "" : " ") + type;
  });
  if (names != expected) root.reject("decoder", "expected " + expected);
}

/// Ids of a template's special token, which may be several.
std::vector<int32_t> special_ids(const ConfigReader& part, const std::string& name) {
  const auto table = part.required(part.object("special_tokens"), "special_tokens");
  const auto entry = table.required(table.object(name), name);
  std::vector<int32_t> result;
  for (const int64_t id : entry.required(entry.integers("ids", 0, kMaxTokenId), "ids"))
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
      if (side.size() > kMaxTemplateIds)
        part.reject("single",
                    fmt::format("expected at most {} ids beside the text", kMaxTemplateIds));
    } else {
      const auto sequence = item.required(item.object("Sequence"), "Sequence");
      if (sequence.text("id") != "A") sequence.reject("id", "expected \"A\"");
      ++texts;
    }
  }
  if (texts != 1) part.reject("single", "expected the text exactly once");
}

/// [text, id], as the RobertaProcessing that CLIP puts around texts has them.
int32_t marker_id(const ConfigReader& part, const char* key) {
  const Json* pair = part.find(key);
  const bool whole = pair && pair->is_array() && pair->size() == 2 && (*pair)[0].is_string() &&
                     (*pair)[1].is_number_unsigned() &&
                     (*pair)[1].get<uint64_t>() <= uint64_t{kMaxTokenId};
  if (!whole) part.reject(key, fmt::format("expected a text and an id in [0, {}]", kMaxTokenId));
  return (*pair)[1].get<int32_t>();
}

void read_post_processor(const ConfigReader& root, TokenizerSpec& spec) {
  bool has_template = false;
  for_each_component(root, "post_processor", "processors", [&](const ConfigReader& part) {
    const std::string type = type_of(part);
    if (type == "ByteLevel") return;  // adjusts offsets only
    const bool roberta = type == "RobertaProcessing";
    if ((type != "TemplateProcessing" && !roberta) || has_template)
      part.reject("type",
                  "supported are \"ByteLevel\" and one \"TemplateProcessing\" or "
                  "\"RobertaProcessing\"");
    has_template = true;
    if (!roberta) return read_template(part, spec);
    spec.prefix.push_back(marker_id(part, "cls"));
    spec.suffix.push_back(marker_id(part, "sep"));
  });
}

}  // namespace

bool is_byte_level(const ConfigReader& root) {
  bool found = false;
  for_each_component(root, "pre_tokenizer", "pretokenizers",
                     [&](const ConfigReader& part) { found |= type_of(part) == "ByteLevel"; });
  return found;
}

void read_tokenizer_stages(const ConfigReader& root, TokenizerSpec& spec) {
  read_normalizer(root, spec);
  if (spec.model == TokenModel::kByteBpe)
    read_byte_level(root, spec);
  else
    read_marks(root, spec);
  read_post_processor(root, spec);
  check_decoder(root, spec);
}

}  // namespace stamp
