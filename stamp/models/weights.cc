#include "stamp/models/weights.h"

#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/models/checked_tensor.h"
#include "stamp/models/model_split.h"

namespace stamp {

const TensorView& checked_tensor(const ModelSource& source, const std::string& name,
                                 const Shape& shape) {
  return checked_tensor(source.weights(), source.directory(), name, shape);
}

std::vector<float> checked_vector(const ModelSource& source, const std::string& name,
                                  int64_t size) {
  return checked_vector(source.weights(), source.directory(), name, size);
}

namespace {

void check_stored_shape(const ModelSource& source, const std::string& name, const Shape& want) {
  const TensorView& shape = source.weights().at(name + ".weight_shape");
  const bool is_pair = shape.dtype == DType::kI64 && shape.shape == Shape{2};
  if (!is_pair || Shape(shape.as<int64_t>(), shape.as<int64_t>() + 2) != want)
    throw_runtime(
        "{}: {}.weight_shape: expected I64 {}, got {} {}; config.json and weights do not "
        "agree",
        source.directory().string(), name, to_string(want), dtype_name(shape.dtype),
        is_pair ? to_string(Shape(shape.as<int64_t>(), shape.as<int64_t>() + 2))
                : "of shape " + to_string(shape.shape));
}

/// The tensors NAME.weight_packed, NAME.weight_scale and NAME.weight_shape.
StoredWeight stored_weight(const ModelSource& source, const std::string& name,
                           const WeightSpec& spec, const Shape& shape) {
  StoredWeight weight = stored_layout(spec, shape[0], shape[1]);
  weight.packed = source.weights().at(name + ".weight_packed");
  weight.scale = source.weights().at(name + ".weight_scale");
  check(weight, source.directory().string() + ": " + name);
  check_stored_shape(source, name, shape);
  return weight;
}

TensorView view_of(const Matrix& matrix) {
  return {DType::kF32, {matrix.rows(), matrix.cols()}, matrix.data()};
}

/// The tensors NAME.low_rank_up and NAME.low_rank_down; none at rank 0.
std::optional<LinearBranch> stored_branch(const ModelSource& source, const std::string& name,
                                          int64_t rank, const Shape& shape) {
  if (rank == 0) return std::nullopt;
  return LinearBranch{checked_tensor(source, name + ".low_rank_up", {shape[0], rank}),
                      checked_tensor(source, name + ".low_rank_down", {rank, shape[1]})};
}

LinearWeight table_weight(const ModelSource& source, const std::string& name,
                          const WeightSpec& spec) {
  const Shape shape = {source.config().vocab_size, source.config().hidden_size};
  LinearWeight weight{.name = name};
  if (source.stored_recipe() != nullptr && spec.bits < 16)
    weight.stored = stored_weight(source, name, spec, shape);
  else
    weight.weight = checked_tensor(source, name + ".weight", shape);
  return weight;
}

bool centers(const ModelSource& source, const Recipe& recipe, const std::string& site) {
  if (recipe.center == "none" || recipe.activations.bits == 16) return false;
  const auto found = source.stored_calibration().find(site);
  return found != source.stored_calibration().end() && found->second.center;
}

}  // namespace

void take_codes(const CalibratedWeight& codes, LinearWeight& weight) {
  weight.stored = codes.stored.view;
  if (codes.branch.up.size() > 0)
    weight.branch = {view_of(codes.branch.up), view_of(codes.branch.down)};
}

bool stores_group(const Recipe& stored, int64_t layer, const LinearGroup& group) {
  std::vector<std::string> names;
  for (const WeightRequest& request : group.weights)
    names.push_back(fmt::format("layers.{}.{}", layer, request.name));
  return stored.weights.bits < 16 && !excludes(stored, names);
}

std::vector<LinearWeight> layer_weights(const ModelSource& source, int64_t index,
                                        const LinearGroup& group, const Recipe& recipe,
                                        const WeightCodes* codes) {
  const Recipe* stored = source.stored_recipe();
  const bool packed = stored != nullptr && stores_group(*stored, index, group);
  const bool centered =
      packed && centers(source, recipe, fmt::format("layers.{}.{}", index, group.input));
  std::vector<LinearWeight> weights;
  for (const WeightRequest& request : group.weights) {
    LinearWeight weight{.name = fmt::format("layers.{}.{}", index, request.name)};
    const std::string name = "model." + weight.name;
    const Shape shape = {request.out_dim, request.in_dim};
    if (packed) {
      weight.stored = stored_weight(source, name, stored->weights, shape);
      weight.branch = stored_branch(source, name, stored->weights.rank, shape);
    } else {
      weight.weight = checked_tensor(source, name + ".weight", shape);
    }
    if (codes != nullptr)
      if (const auto found = codes->find(weight.name); found != codes->end())
        take_codes(found->second, weight);
    if (request.bias || centered)
      weight.bias =
          checked_tensor(source, name + (centered ? ".centered_bias" : ".bias"), {request.out_dim});
    weights.push_back(std::move(weight));
  }
  return weights;
}

Linear load_linear(const ModelSource& source, int64_t index, const LinearGroup& group,
                   const GroupBasis& basis, const ModelOptions& options) {
  Recipe recipe = recipe_for_layer(options.recipe, index);
  std::vector<LinearWeight> weights = layer_weights(source, index, group, recipe, options.codes);
  if (options.codes_pending && !weights[0].stored) recipe.weights = {};
  GroupBasis own = basis;
  InputPart input;
  if (split_of(options) == ModelSplit::kTensor && group.row_parallel) {
    const auto [first, count] = own_share(group.weights[0].in_dim);
    input = {first, count, &communicator()};
  } else if (split_of(options) == ModelSplit::kTensor) {
    keep_own_outputs(weights, own);
  }
  return Linear(fmt::format("layers.{}.{}", index, group.input), std::move(weights), recipe,
                options.calibration, std::move(own), options.execution, input);
}

LinearWeight embedding_weight(const ModelSource& source) {
  const Recipe* stored = source.stored_recipe();
  return table_weight(source, "model.embed_tokens",
                      {.bits = stored == nullptr ? 16 : stored->embedding_bits});
}

LinearWeight lm_head_weight(const ModelSource& source) {
  const Recipe* stored = source.stored_recipe();
  LinearWeight weight =
      source.config().tie_word_embeddings
          ? embedding_weight(source)
          : table_weight(source, "lm_head", stored == nullptr ? WeightSpec{} : stored->lm_head);
  weight.name = "lm_head";
  return weight;
}

}  // namespace stamp
