#include <fmt/format.h>

#include <memory>

#include "command.h"
#include "stamp/quant/recipe.h"

namespace stamp::cli {

void add_recipe(CLI::App& app, int& exit_code) {
  auto name = std::make_shared<std::string>();
  app.add_option("NAME", *name,
                 "preset, or a JSON file to check and print with every field explicit");
  app.callback([name, &exit_code] {
    if (name->empty())
      for (const std::string& preset : preset_names()) fmt::print("{}\n", preset);
    else
      fmt::print("{}\n", to_json(load_recipe(*name)).dump(2));
    exit_code = 0;
  });
}

}  // namespace stamp::cli
