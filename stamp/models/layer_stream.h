#pragma once
// A model's layers one at a time, for calibration of models larger than memory.
#include "stamp/models/model.h"

namespace stamp {

class LayerStream {
 public:
  virtual ~LayerStream() = default;
  /// The residual stream before the first layer, [ids.size(), hidden_size], in the basis of the
  /// recipe (which quarot rotates).
  virtual Matrix embed(std::span<const int32_t> ids) const = 0;
  /// Loads layer `index` in the place of the one before. Options apply as in make_model(); their
  /// feature transform must stay the same.
  virtual void load(int64_t index, const ModelOptions& options) = 0;
  /// Loads the linears of group `index` of linear_groups() anew.
  virtual void load_group(size_t index, const ModelOptions& options) = 0;
  /// x += branch (LinearGroup::branch) of the layer for a sequence from its first token.
  virtual void run(size_t branch, Matrix& x, ForwardContext& context) const = 0;
};

/// Throws as make_model().
std::unique_ptr<LayerStream> make_layer_stream(std::shared_ptr<const ModelSource> source,
                                               const Recipe& recipe);

}  // namespace stamp
