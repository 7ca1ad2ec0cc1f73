// The list of architectures. A new family is a folder and a line here.
#include <array>

#include "stamp/core/error.h"
#include "stamp/models/llama/decoder_layer.h"
#include "stamp/models/llama/llama.h"
#include "stamp/models/model.h"
#include "stamp/models/qwen2/qwen2.h"
#include "stamp/models/stored_recipe.h"

namespace stamp {
namespace {

struct Family {
  std::string_view architecture;
  std::unique_ptr<Model> (*make)(std::shared_ptr<const ModelSource>, const ModelOptions&);
  std::unique_ptr<LayerStream> (*stream)(std::shared_ptr<const ModelSource>, const Recipe&);
  std::vector<LinearGroup> (*groups)(const LlmConfig&);
  LayerBasis (*basis)(const ModelSource&, int64_t, const std::vector<LinearGroup>&, const Recipe&,
                      const Calibration*);
};
constexpr std::array kFamilies = {
    Family{"LlamaForCausalLM", make_llama, make_llama_stream, llama_groups, decoder_basis},
    Family{"Qwen2ForCausalLM", make_qwen2, make_qwen2_stream, qwen2_groups, decoder_basis},
};

const Family& family_of(const LlmConfig& config) {
  for (const Family& family : kFamilies)
    if (family.architecture == config.architecture) return family;
  throw_runtime("config.json: unknown architecture '{}', expected one of {}", config.architecture,
                fmt::join(supported_architectures(), ", "));
}

}  // namespace

std::vector<std::string> supported_architectures() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.emplace_back(family.architecture);
  return names;
}

std::vector<LinearGroup> linear_groups(const LlmConfig& config) {
  return family_of(config).groups(config);
}

LayerBasis layer_basis(const ModelSource& source, int64_t index, const Recipe& recipe,
                       const Calibration* calibration) {
  const Family& family = family_of(source.config());
  return family.basis(source, index, family.groups(source.config()), recipe, calibration);
}

std::unique_ptr<LayerStream> make_layer_stream(std::shared_ptr<const ModelSource> source,
                                               const Recipe& recipe) {
  return family_of(source->config()).stream(std::move(source), recipe);
}

std::unique_ptr<Model> make_model(std::shared_ptr<const ModelSource> source,
                                  const ModelOptions& options) {
  check(options.recipe);
  ModelOptions own = options;
  if (const Recipe* stored = source->stored_recipe()) {
    check_same_weights(options.recipe, *stored, source->directory().string());
    if (own.calibration == nullptr) own.calibration = &source->stored_calibration();
  }
  return family_of(source->config()).make(std::move(source), own);
}

}  // namespace stamp
