// Tokenizers against strings and ids made by the library `tokenizers`.
#include <algorithm>
#include <optional>

#include "stamp/core/error.h"
#include "stamp/pipelines/verify_checks.h"
#include "stamp/text/tokenizer.h"

namespace stamp {
namespace {

void check_case(const Tokenizer& tokenizer, const Json& item, const std::string& where,
                VerifyCase& result) {
  const auto text = item.at("text").get<std::string>();
  const auto ids = item.at("ids").get<std::vector<int32_t>>();
  const auto plain = item.at("ids_plain").get<std::vector<int32_t>>();
  check_equal(result, where + " ids", tokenizer.encode(text, true), ids);
  check_equal(result, where + " ids_plain", tokenizer.encode(text, false), plain);
  check_equal(result, where + " decoded", tokenizer.decode(plain, false),
              item.at("decoded").get<std::string>());
  check_equal(result, where + " decoded_skip", tokenizer.decode(ids, true),
              item.at("decoded_skip").get<std::string>());
}

/// What the library sentencepiece gives. It knows nothing of added tokens, so texts that hold some
/// do not count.
void check_sentencepiece_case(const Tokenizer& tokenizer, const Json& item,
                              const std::string& where, VerifyCase& result) {
  const auto ids = item.at("ids_plain").get<std::vector<int32_t>>();
  if (std::any_of(ids.begin(), ids.end(), [&](int32_t id) { return tokenizer.is_special(id); }))
    return;
  check_equal(result, where + " spm_ids",
              tokenizer.encode(item.at("text").get<std::string>(), false),
              item.at("spm_ids").get<std::vector<int32_t>>());
}

}  // namespace

void verify_tokenizer(const std::filesystem::path& directory, VerifyCase& result) {
  const Json file = read_json(directory / "cases.json");
  const Tokenizer tokenizer = Tokenizer::load(directory / "ckpt");
  const Json& cases = file.at("cases");
  if (!cases.is_array() || cases.empty()) {
    throw_runtime("{}: cases, expected a list of strings and ids",
                  (directory / "cases.json").string());
  }
  const bool has_sentencepiece = cases[0].contains("spm_ids");
  std::optional<Tokenizer> sentencepiece;
  if (has_sentencepiece) sentencepiece = Tokenizer::load_sentencepiece(directory / "ckpt");
  for (size_t i = 0; i < cases.size(); ++i) {
    check_case(tokenizer, cases[i], "string " + std::to_string(i), result);
    if (sentencepiece)
      check_sentencepiece_case(*sentencepiece, cases[i], "string " + std::to_string(i), result);
  }
  if (result.status == VerifyCase::Status::kPassed) {
    result.message = std::to_string(cases.size()) + " strings";
  }
}

}  // namespace stamp
