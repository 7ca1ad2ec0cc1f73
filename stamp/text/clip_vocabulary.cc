#include "stamp/text/clip_vocabulary.h"

#include <algorithm>
#include <tuple>

#include "stamp/core/error.h"
#include "stamp/text/unicode.h"

namespace stamp {
namespace {

constexpr int64_t kMaxMergesBytes = int64_t{1} << 26;

/// A tokenizer.json without vocabulary and markers.
constexpr const char* kStages = R"json({
  "normalizer": {"type": "Sequence", "normalizers": [
    {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
    {"type": "Lowercase"}]},
  "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
    {"type": "Split", "behavior": "Removed", "invert": true, "pattern": {"Regex":
     "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"}},
    {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]},
  "decoder": {"type": "ByteLevel"},
  "model": {"type": "BPE", "end_of_word_suffix": "</w>"}})json";

bool is_present(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

/// The lines of a merges.txt, "left right" each.
Json read_merges(const std::filesystem::path& path) {
  const std::string text = read_text(path, kMaxMergesBytes);
  if (replace_invalid_utf8(text) != text) throw_runtime("{}: invalid UTF-8", path.string());
  Json merges = Json::array();
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty() && !line.starts_with("#version")) merges.push_back(std::move(line));
    begin = end + 1;
  }
  return merges;
}

}  // namespace

bool is_clip_vocabulary(const std::filesystem::path& directory, const TokenizerConfig& config) {
  const bool named =
      config.tokenizer_class.empty() || config.tokenizer_class.starts_with("CLIPTokenizer");
  return named && is_present(directory / "vocab.json") && is_present(directory / "merges.txt");
}

TokenizerSpec read_clip_vocabulary(const std::filesystem::path& directory,
                                   const TokenizerConfig& config) {
  const auto file = directory / "vocab.json";
  Json json = Json::parse(kStages);
  const Json& vocabulary = json["model"]["vocab"] = read_json(file);
  json["model"]["merges"] = read_merges(directory / "merges.txt");
  json["added_tokens"] = Json::array();
  json["post_processor"]["type"] = "RobertaProcessing";
  for (const auto& [key, side, usual] : {std::tuple("bos_token", "cls", "<|startoftext|>"),
                                         std::tuple("eos_token", "sep", "<|endoftext|>")}) {
    std::string token = config.special_token(key);
    if (token.empty()) token = usual;
    if (!vocabulary.is_object() || !vocabulary.contains(token))
      throw_runtime("{}: there is no {} '{}'", file.string(), key, token);
    json["post_processor"][side] = {token, vocabulary[token]};
    json["added_tokens"].push_back(
        {{"id", vocabulary[token]}, {"content", token}, {"special", true}});
  }
  return read_tokenizer_file(json, file.string());
}

}  // namespace stamp
