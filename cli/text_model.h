#pragma once
// What generate and chat share: the model's flags, the sampler's flags.
#include <memory>

#include "command.h"
#include "stamp/pipelines/generate.h"
#include "stamp/text/tokenizer.h"

namespace stamp::cli {

struct TextModelFlags {
  std::filesystem::path model, calibration;
  std::string recipe;
  Compute compute = Compute::kF32;
  GenerateOptions generate;
  bool greedy = false;
};
/// MODEL, --recipe, --calibration, --compute, and how tokens are chosen.
void add_text_model(CLI::App& app, TextModelFlags& flags);

struct TextModel {
  std::shared_ptr<const ModelSource> source;
  Tokenizer tokenizer;
  Recipe recipe;
  Calibration calibration;
  std::unique_ptr<Model> model;
  ForwardContext context;
};
/// Opens the model and completes flags.generate: what `app` was not told follows
/// generation_config.json; generation ends at its stop ids and at the tokenizer's eos_token.
TextModel open_text_model(const CLI::App& app, TextModelFlags& flags);

}  // namespace stamp::cli
