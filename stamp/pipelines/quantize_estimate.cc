#include <algorithm>
#include <chrono>

#include "stamp/core/error.h"
#include "stamp/core/process.h"
#include "stamp/nn/site_map.h"
#include "stamp/pipelines/quantize_files.h"
#include "stamp/pipelines/quantize_parts.h"
#include "stamp/pipelines/quantize_shard.h"
#include "stamp/quant/stored_weight.h"

namespace stamp {
namespace {

void check_recipe(const Recipe& recipe) {
  check(recipe);
  if (recipe.weights.bits == 16 && recipe.lm_head.bits == 16 && recipe.embedding_bits == 16)
    throw_argument("quantize: recipe '{}' leaves all weights at 16 bits: there is nothing to store",
                   recipe.name);
  for (const WeightSpec* spec : {&recipe.weights, &recipe.lm_head})
    if (spec->bits < 16 && !spec->symmetric)
      throw_argument("quantize: recipe '{}': asymmetric weights have no stored form", recipe.name);
}

/// Seconds for all weights, from some rows of the first one of every kind.
double measured_seconds(const OutputPlan& plan) {
  constexpr int64_t kSample = int64_t{1} << 19;
  std::map<std::string, double> per_element;
  double seconds = 0;
  Matrix block;
  for (const OutputShard& shard : plan.shards)
    for (const OutputTensor& tensor : shard.tensors) {
      if (!tensor.is_stored()) continue;
      const int64_t in_dim = tensor.source.shape[1];
      const std::string kind = fmt::format("{} {} {} {}", in_dim, tensor.spec.bits,
                                           tensor.spec.mse_clip, tensor.spec.clip_norm);
      if (!per_element.contains(kind)) {
        const int64_t rows = std::clamp<int64_t>(kSample / in_dim, 1, tensor.source.shape[0]);
        block.reshape(rows, in_dim);
        load_weight_rows(tensor.source, tensor.map, {}, 0, block.view());
        const auto start = std::chrono::steady_clock::now();
        load_weight_rows(tensor.source, tensor.map, {}, 0, block.view());
        quantize_weight(block.view(), tensor.spec);
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
        per_element[kind] = time.count() / static_cast<double>(rows * in_dim);
      }
      seconds += per_element[kind] * static_cast<double>(tensor.source.size());
    }
  return seconds;
}

/// What a run holds at its peak besides the program itself: a block as fp32 and in codes, and the
/// pages of the source that it came from.
int64_t working_set(const OutputPlan& plan) {
  int64_t largest = 0;
  for (const OutputShard& shard : plan.shards)
    for (const OutputTensor& tensor : shard.tensors)
      if (tensor.is_stored())
        largest = std::max(largest, std::min(tensor.source.size(), kQuantizeBlock));
  return largest * (4 + 1 + 4);
}

/// The Hessian of the widest input while it is factorised (gptq.h), and its weight.
int64_t factor_bytes(const OutputPlan& plan) {
  int64_t largest = 0;
  for (const OutputShard& shard : plan.shards)
    for (const OutputTensor& tensor : shard.tensors) {
      if (!tensor.is_stored() || shard.layer < 0) continue;
      const int64_t in_dim = tensor.source.shape[1];
      largest = std::max(largest, in_dim * in_dim * (4 + 8 + 4) + tensor.source.size() * 5);
    }
  return largest;
}

}  // namespace

std::shared_ptr<const ModelSource> open_plain_source(const QuantizeOptions& options) {
  check_recipe(options.recipe);
  auto source = ModelSource::open(options.model);
  if (source->stored_recipe() != nullptr)
    throw_argument("{}: is quantized already, for recipe '{}'; start from the plain model",
                   options.model.string(), source->stored_recipe()->name);
  return source;
}

QuantizeEstimate sizes_of(const QuantizeOptions& options, const ModelSource& source,
                          const OutputPlan& plan) {
  QuantizeEstimate result{.source_bytes = source.weights().bytes(),
                          .files = static_cast<int64_t>(plan.shards.size()),
                          .format = quant_method(options.recipe, plan)};
  double bits = 0;
  for (const OutputShard& shard : plan.shards) {
    result.output_bytes += shard.file_bytes();
    for (const OutputTensor& tensor : shard.tensors) {
      if (!tensor.is_stored()) continue;
      result.weights += tensor.source.size();
      for (const auto& [name, view] : tensor.layout())
        bits += 8.0 * static_cast<double>(view.bytes());
    }
  }
  result.bits_per_weight = bits / static_cast<double>(std::max<int64_t>(1, result.weights));
  return result;
}

QuantizeEstimate estimate_quantize(const QuantizeOptions& options) {
  const auto source = open_plain_source(options);
  const OutputPlan plan = plan_output(*source, options.recipe, nullptr);
  QuantizeEstimate result = sizes_of(options, *source, plan);
  result.seconds = measured_seconds(plan);
  result.peak_bytes = peak_rss_bytes() + working_set(plan);
  if (options.recipe.needs_weight_calibration()) result.peak_bytes += factor_bytes(plan);
  if (options.recipe.needs_calibration()) result.calibration_bytes = source->weights().bytes();
  return result;
}

}  // namespace stamp
