#include <memory>

#include "command.h"
#include "stamp/pipelines/doctor.h"

namespace stamp::cli {

void add_doctor(CLI::App& app, int& exit_code) {
  auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "print JSON");
  app.callback([json, &exit_code] {
    const Diagnosis diagnosis = diagnose();
    print_result(*json, to_json(diagnosis), to_text(diagnosis));
    exit_code = 0;
  });
}

}  // namespace stamp::cli
