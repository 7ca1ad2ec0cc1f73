#pragma once
// What generate and chat share: the model's flags, the sampler's flags.
#include "command.h"
#include "stamp/pipelines/text_model.h"

namespace stamp::cli {

struct TextModelFlags {
  TextModelOptions model;
  GenerateOptions generate;
  bool greedy = false;
};
/// MODEL, --recipe, --calibration, --compute, and how tokens are chosen.
void add_text_model(CLI::App& app, TextModelFlags& flags);

/// Opens the model and completes flags.generate: what `app` was not told follows
/// generate_defaults().
TextModel open_text_model(const CLI::App& app, TextModelFlags& flags);

}  // namespace stamp::cli
