#include "stamp/pipelines/quantize_plan.h"

#include "stamp/core/error.h"
#include "stamp/io/safetensors_writer.h"
#include "stamp/models/weights.h"
#include "stamp/quant/stored_weight.h"

namespace stamp {
namespace {

constexpr const char *kEmbedding = "model.embed_tokens", *kHead = "lm_head";
constexpr std::string_view kWeight = ".weight";

/// Stored weights and what else differs from the source, by name without ".weight".
using Changes = std::map<std::string, OutputTensor>;

class Planner {
 public:
  Planner(const ModelSource& source, const Recipe& recipe, const Calibration* calibration)
      : source_(source), recipe_(recipe), calibration_(calibration) {}

  OutputPlan plan() {
    for (int64_t layer = 0; layer < source_.config().layers; ++layer) plan_layer(layer);
    plan_tables();
    for (auto& [name, change] : changes_) check_groups(change);
    fill_shards();
    return std::move(plan_);
  }

 private:
  void plan_layer(int64_t layer) {
    const auto groups = linear_groups(source_.config());
    const bool known = calibration_ != nullptr || !recipe_.needs_calibration();
    const LayerBasis basis =
        known ? layer_basis(source_, layer, recipe_for_layer(recipe_, layer), calibration_)
              : LayerBasis{.groups = std::vector<GroupBasis>(groups.size())};
    for (size_t i = 0; i < groups.size(); ++i) plan_group(layer, groups[i], basis.groups[i]);
  }

  void plan_group(int64_t layer, const LinearGroup& group, const GroupBasis& basis) {
    const bool stored = stores_group(recipe_, layer, group);
    const auto weights = layer_weights(source_, layer, group, {});
    for (size_t i = 0; i < weights.size(); ++i) {
      const std::string name = "model." + weights[i].name;
      if (stored)
        changes_.emplace(
            name, OutputTensor{name, weights[i].weight, recipe_.weights, basis.input,
                               basis.output(i), weights[i].bias,
                               i < basis.clips.size() ? basis.clips[i] : std::vector<float>{}});
      else
        plan_.plain.push_back(name);
    }
  }

  void plan_tables() {
    const bool tied = source_.config().tie_word_embeddings;
    const bool split = recipe_.lm_head.bits < 16 || recipe_.embedding_bits < 16;
    plan_.ties_embeddings = tied && !split;
    if (recipe_.embedding_bits < 16)
      changes_[kEmbedding] = {kEmbedding, embedding_weight(source_).weight,
                              WeightSpec{.bits = recipe_.embedding_bits}};
    if (recipe_.lm_head.bits < 16) {
      changes_[kHead] = {kHead, lm_head_weight(source_).weight, recipe_.lm_head};
    } else {
      plan_.plain.emplace_back(kHead);
      if (tied && split)
        changes_[kHead] = {kHead + std::string(kWeight), lm_head_weight(source_).weight};
    }
  }

  void check_groups(const OutputTensor& tensor) {
    const int64_t group = tensor.spec.group;
    if (tensor.is_stored() && group > 0 && tensor.source.shape[1] % group != 0)
      plan_.groups_are_whole = false;
  }

  /// Place of a tensor among the shards.
  size_t shard_of(const std::string& name) const {
    const auto layers = static_cast<size_t>(source_.config().layers);
    if (name.starts_with(kHead)) return layers + 1;
    const std::string_view prefix = "model.layers.";
    if (!name.starts_with(prefix)) return 0;
    const size_t layer = std::strtoull(name.c_str() + prefix.size(), nullptr, 10);
    return layer < layers ? layer + 1 : 0;
  }

  void fill_shards() {
    const auto layers = static_cast<size_t>(source_.config().layers);
    std::vector<OutputShard> shards(layers + 2);
    for (size_t i = 0; i < layers; ++i) shards[i + 1].layer = static_cast<int64_t>(i);
    const auto add = [&](OutputTensor tensor) {
      shards[shard_of(tensor.name)].tensors.push_back(std::move(tensor));
    };
    for (const auto& [name, view] : source_.weights().tensors()) {
      const bool is_weight = name.ends_with(kWeight);
      const bool replaced =
          is_weight && changes_.contains(name.substr(0, name.size() - kWeight.size()));
      const bool unused = source_.config().tie_word_embeddings && name == "lm_head.weight";
      if (!replaced && !unused) add({name, view});
    }
    for (auto& [name, change] : changes_) add(std::move(change));
    std::erase_if(shards, [](const OutputShard& shard) { return shard.tensors.empty(); });
    for (size_t i = 0; i < shards.size(); ++i)
      shards[i].file = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    plan_.shards = std::move(shards);
  }

  const ModelSource& source_;
  const Recipe& recipe_;
  const Calibration* calibration_;
  Changes changes_;
  OutputPlan plan_;
};

}  // namespace

std::map<std::string, TensorView> OutputTensor::layout() const {
  if (!is_stored()) return {{name, {copied_type(), source.shape, nullptr}}};
  const StoredWeight stored = stored_layout(spec, source.shape[0], source.shape[1]);
  std::map<std::string, TensorView> tensors = {
      {name + ".weight_packed", stored.packed},
      {name + ".weight_scale", stored.scale},
      {name + ".weight_shape", {DType::kI64, {2}, nullptr}}};
  if (spec.rank > 0) {
    tensors[name + ".low_rank_up"] = {DType::kBF16, {stored.out_dim, spec.rank}, nullptr};
    tensors[name + ".low_rank_down"] = {DType::kBF16, {spec.rank, stored.in_dim}, nullptr};
  }
  if (!map.mean.empty())
    tensors[name + ".centered_bias"] = {DType::kF32, {stored.out_dim}, nullptr};
  return tensors;
}

std::map<std::string, TensorView> OutputShard::layout() const {
  std::map<std::string, TensorView> all;
  for (const OutputTensor& tensor : tensors) all.merge(tensor.layout());
  return all;
}

int64_t OutputShard::file_bytes() const {
  return SafetensorsWriter::file_bytes(layout(), kShardMetadata);
}

int64_t OutputShard::source_bytes() const {
  int64_t bytes = 0;
  for (const OutputTensor& tensor : tensors) bytes += tensor.source.bytes();
  return bytes;
}

OutputPlan plan_output(const ModelSource& source, const Recipe& recipe,
                       const Calibration* calibration) {
  return Planner(source, recipe, calibration).plan();
}

}  // namespace stamp
