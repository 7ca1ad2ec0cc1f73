#pragma once
// Which part of a model this process has (ModelSplit).
#include "stamp/models/weights.h"

namespace stamp {

struct Share {
  int64_t first = 0, count = 0;
};
/// This process's part of `total` things, of which each takes whole multiples of `unit`; the parts
/// are as equal as that allows.
Share own_share(int64_t total, int64_t unit = 1);

/// The split that `options` ask for; none in a process that is alone.
ModelSplit split_of(const ModelOptions& options);
/// The heads and MLP channels that this process has of a layer. Throws std::invalid_argument unless
/// each process gets equally many.
LlmConfig own_part(const LlmConfig& config, const ModelOptions& options);
/// The recipe's rotation_parts; where codes of weights are still to be made, as many as rotate
/// within each process.
int rotation_parts(const ModelOptions& options, bool has_codes);
/// Leaves of the output head the words that this process has, panels of 64, and tells which.
Share keep_own_words(LinearWeight& head);
/// Leaves of the weights of a group, and of its basis, the outputs that this process has. Not for
/// row-parallel groups, which keep all outputs and a part of their inputs.
void keep_own_outputs(std::vector<LinearWeight>& weights, GroupBasis& basis);

}  // namespace stamp
