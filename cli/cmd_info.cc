#include <memory>

#include "command.h"
#include "stamp/pipelines/info.h"

namespace stamp::cli {

void add_info(CLI::App& app, int& exit_code) {
  struct Flags {
    std::filesystem::path model;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, "model directory, GGUF file or image pipeline")
      ->required()
      ->check(CLI::ExistingPath);
  app.add_flag("--json", flags->json, "print JSON");
  app.callback([flags, &exit_code] {
    const ModelInfo info = inspect_model(flags->model);
    print_result(flags->json, to_json(info), to_text(info));
    exit_code = 0;
  });
}

}  // namespace stamp::cli
