#include "stamp/models/model.h"

#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/io/model_files.h"
#include "stamp/io/tensor_digest.h"
#include "stamp/models/calibration_file.h"
#include "stamp/models/stored_recipe.h"

namespace stamp {

KvCache Model::make_cache(int64_t capacity, std::shared_ptr<KvArena> arena) const {
  const LlmConfig& c = config();
  if (capacity > c.max_positions)
    throw_argument("KV cache: the model has {} positions, got a capacity of {}", c.max_positions,
                   capacity);
  return KvCache(c.layers, kv_dim(), capacity, std::move(arena));
}

int Model::output_process() const {
  return split() == ModelSplit::kPipeline ? communicator().size() - 1 : 0;
}

bool Model::has_output() const {
  return split() != ModelSplit::kPipeline || communicator().rank() == output_process();
}

std::shared_ptr<const ModelSource> ModelSource::open(const std::filesystem::path& directory) {
  auto source = std::make_shared<ModelSource>();
  source->directory_ = directory;
  source->config_ = read_llm_config(directory);
  source->weights_ = open_model_weights(directory);
  source->stored_recipe_ = read_stored_recipe(directory, source->config_);
  if (source->stored_recipe_ && source->stored_recipe_->needs_calibration())
    source->stored_calibration_ = read_calibration(directory / kCalibrationFile);
  return source;
}

const std::string& ModelSource::identity() const {
  std::call_once(identified_, [&] {
    TensorDigest digest;
    digest.add_text(read_model_json(directory_, "config.json").dump());
    digest.add(weights_.tensors());
    identity_ = digest.finish();
  });
  return identity_;
}

Recipe ModelSource::reference_recipe() const {
  if (!stored_recipe_) return {};
  Recipe recipe = *stored_recipe_;
  recipe.name += " (weights only)";
  recipe.activations = {};
  recipe.k = recipe.v = {};
  recipe.attention_bits = 16;
  recipe.layers.clear();
  recipe.sites.clear();
  recipe.center = "none";
  return recipe;
}

}  // namespace stamp
