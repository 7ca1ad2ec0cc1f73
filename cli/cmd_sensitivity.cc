#include <memory>

#include "option_flags.h"
#include "stamp/pipelines/options/sensitivity.h"

namespace stamp::cli {

void add_sensitivity(CLI::App& app, int& exit_code) {
  struct Flags {
    SensitivityOptions options = default_options<SensitivityOptions>();
    ResultFlags result;
  };
  auto flags = std::make_shared<Flags>();
  add_flags(app, flags->options);
  app.get_option("MODEL")->required()->check(CLI::ExistingPath);
  add_result_flags(app, flags->result, "write a heat map as self-contained HTML");
  app.callback([flags, &exit_code] {
    complete_options(flags->options);
    publish_result(flags->result, measure_sensitivity(flags->options));
    exit_code = 0;
  });
}

}  // namespace stamp::cli
