// Tokenizers against strings and ids made by the library `tokenizers`.
#include "stamp/core/error.h"
#include "stamp/pipelines/verify_checks.h"
#include "stamp/text/tokenizer.h"

namespace stamp {
namespace {

constexpr std::string_view kKinds[] = {"llama3", "qwen2"};

bool is_supported(const std::string& kind) {
  for (std::string_view known : kKinds) {
    if (kind.starts_with(known)) return true;
  }
  return false;
}

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

}  // namespace

void verify_tokenizer(const std::filesystem::path& directory, VerifyCase& result) {
  const Json file = read_json(directory / "cases.json");
  const auto kind = file.at("kind").get<std::string>();
  if (!is_supported(kind)) {
    result.status = VerifyCase::Status::kUnsupported;
    result.message = "this build has no tokenizer of kind '" + kind + "'";
    return;
  }
  const Tokenizer tokenizer = Tokenizer::load(directory / "ckpt");
  const Json& cases = file.at("cases");
  if (!cases.is_array() || cases.empty()) {
    throw_runtime("{}: cases, expected a list of strings and ids",
                  (directory / "cases.json").string());
  }
  for (size_t i = 0; i < cases.size(); ++i) {
    check_case(tokenizer, cases[i], "string " + std::to_string(i), result);
  }
  if (result.status == VerifyCase::Status::kPassed) {
    result.message = std::to_string(cases.size()) + " strings";
  }
}

}  // namespace stamp
