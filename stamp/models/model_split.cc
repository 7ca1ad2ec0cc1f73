#include "stamp/models/model_split.h"

#include "stamp/core/communicator.h"
#include "stamp/core/error.h"

namespace stamp {
namespace {

void keep_outputs(LinearWeight& weight, Share own) {
  const auto [first, count] = own;
  if (weight.is_plain()) weight.weight = rows_of(weight.weight, first, count);
  if (weight.stored) weight.stored = rows_of(*weight.stored, first, count);
  if (weight.bias) weight.bias = rows_of(*weight.bias, first, count);
  if (weight.branch) weight.branch->up = rows_of(weight.branch->up, first, count);
}

int64_t out_dim(const LinearWeight& weight) {
  return weight.stored ? weight.stored->out_dim : weight.weight.shape[0];
}

}  // namespace

Share own_share(int64_t total, int64_t unit) {
  const int64_t size = communicator().size(), rank = communicator().rank();
  const int64_t units = (total + unit - 1) / unit;
  const int64_t first = std::min(total, units * rank / size * unit);
  return {first, std::min(total, units * (rank + 1) / size * unit) - first};
}

ModelSplit split_of(const ModelOptions& options) {
  return communicator().size() == 1 ? ModelSplit::kNone : options.split;
}

LlmConfig own_part(const LlmConfig& config, const ModelOptions& options) {
  if (split_of(options) != ModelSplit::kTensor) return config;
  const int64_t size = communicator().size();
  LlmConfig part = config;
  for (int64_t LlmConfig::*count :
       {&LlmConfig::heads, &LlmConfig::kv_heads, &LlmConfig::intermediate_size}) {
    if (config.*count % size != 0)
      throw_argument(
          "tensor split: {} processes cannot share {} heads, {} heads of K and V and {} channels "
          "of "
          "the MLP equally; another number of processes can, or a pipeline",
          size, config.heads, config.kv_heads, config.intermediate_size);
    part.*count /= size;
  }
  return part;
}

int rotation_parts(const ModelOptions& options, bool has_codes) {
  const int parts = options.recipe.rotation_parts, size = communicator().size();
  const bool fits = split_of(options) != ModelSplit::kTensor || parts % size == 0;
  return fits || has_codes || options.recipe.needs_weight_calibration() ? parts : size;
}

void keep_own_outputs(std::vector<LinearWeight>& weights, GroupBasis& basis) {
  for (size_t i = 0; i < weights.size(); ++i) {
    const Share own = own_share(out_dim(weights[i]));
    basis.keep_outputs(i, out_dim(weights[i]), own.first, own.count);
    keep_outputs(weights[i], own);
  }
}

Share keep_own_words(LinearWeight& head) {
  const Share own = own_share(out_dim(head), 64);
  if (own.count == 0)
    throw_argument("tensor split: {} processes, but the vocabulary has {} words",
                   communicator().size(), out_dim(head));
  keep_outputs(head, own);
  return own;
}

}  // namespace stamp
