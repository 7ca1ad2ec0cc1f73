#include <algorithm>
#include <memory>

#include "option_flags.h"
#include "stamp/pipelines/options/verify.h"

namespace stamp::cli {
namespace {

constexpr int kFailed = 1, kUnsupported = 3;

}  // namespace

void add_verify(CLI::App& app, int& exit_code) {
  struct Flags {
    VerifyOptions options;
    bool strict = false, json = false;
  };
  auto flags = std::make_shared<Flags>();
  add_flags(app, flags->options);
  app.get_option("DIR")->required()->check(CLI::ExistingDirectory);
  app.add_flag("--strict", flags->strict, "exit 3 when a case is not supported");
  app.add_flag("--json", flags->json, "print JSON");
  app.callback([flags, &exit_code] {
    const std::vector<VerifyCase> cases = verify(flags->options);
    print_result(flags->json, to_json(cases), to_text(cases));
    const auto any = [&](VerifyCase::Status status) {
      return std::any_of(cases.begin(), cases.end(),
                         [&](const VerifyCase& c) { return c.status == status; });
    };
    if (any(VerifyCase::Status::kFailed))
      exit_code = kFailed;
    else if (flags->strict && any(VerifyCase::Status::kUnsupported))
      exit_code = kUnsupported;
  });
}

}  // namespace stamp::cli
