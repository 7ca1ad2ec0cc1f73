#pragma once
// A language model ready to run with a recipe: weights, tokenizer, calibration done.
#include <filesystem>
#include <memory>

#include "stamp/pipelines/generate.h"
#include "stamp/text/tokenizer.h"

namespace stamp {

struct TextModelOptions {
  std::filesystem::path model;
  std::filesystem::path calibration;  // empty: MODEL/calibration.txt when the recipe needs one
  Recipe recipe;
  Compute compute = Compute::kF32;
  Execution execution = Execution::kInteger;
  ModelSplit split = ModelSplit::kTensor;  // of several processes
  int link_bits = 32;                      // see ModelOptions
};

struct TextModel {
  std::shared_ptr<const ModelSource> source;
  Tokenizer tokenizer;
  Recipe recipe;
  Calibration calibration;
  std::string calibration_text;  // SHA-256 of the tokens that codes or statistics were made from
  Execution execution = Execution::kInteger;
  std::unique_ptr<Model> model;
  ForwardContext context;
};

/// Throws as ModelSource::open(), Tokenizer::load() and make_model().
TextModel open_text_model(const TextModelOptions& options);

/// How the model's generation_config.json samples; generation ends at its stop ids and at the
/// tokenizer's eos_token.
GenerateOptions generate_defaults(const TextModel& text);

}  // namespace stamp
