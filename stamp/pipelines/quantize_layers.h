#pragma once
// Codes that depend on a text (GPTQ), made layer by layer: the text's hidden states pass through
// the layers quantized so far, one layer is in memory at a time.
#include <functional>

#include "stamp/models/layer_stream.h"
#include "stamp/models/weights.h"
#include "stamp/pipelines/calibrate.h"

namespace stamp {

/// SVDQuant's split_low_rank() of weights that share an input, given as `values` in its basis: they
/// share the narrow side of their branch. Adds to `codes` by name.
void split_group(const std::vector<LinearWeight>& weights, const std::vector<Matrix>& values,
                 int64_t rank, const Hessian& hessian,
                 const std::function<StoredWeightBuffer(ConstFloatView)>& quantize,
                 WeightCodes& codes);

/// The text's windows are shared by all processes, which make the same calls; each has all codes,
/// with the bits of one process.
class LayerQuantizer {
 public:
  /// `calibration`: statistics that the recipe needs, as in make_model(); must outlive this. Throws
  /// std::invalid_argument for a text that is too short.
  LayerQuantizer(std::shared_ptr<const ModelSource> source, const Recipe& recipe,
                 const Calibration* calibration, const CalibrateOptions& text);
  /// Codes of the next layer. Groups of linears follow the forward pass; each is quantized for
  /// inputs that come from the quantized ones before it, themselves at 16 bits (METHODS 4). Throws
  /// std::runtime_error after interrupted() and as factor_hessian().
  WeightCodes next();
  /// Lets the text pass the next layer, whose codes were made before.
  void skip(const WeightCodes& codes);

 private:
  ModelOptions options(const WeightCodes& codes) const;
  void quantize_group(size_t group, WeightCodes& codes);
  void pass(size_t branch);

  std::shared_ptr<const ModelSource> source_;
  std::vector<LinearGroup> groups_;
  Recipe recipe_, weights_only_;  // without quantized activations, K and V
  const Calibration* calibration_;
  std::unique_ptr<LayerStream> stream_;
  std::vector<Matrix> hidden_;  // of each window that this process has
  int64_t layer_ = 0;
};

/// Recipes with equal keys have equal codes.
std::string weights_key(const Recipe& recipe);

/// The codes of all layers; empty when the recipe needs none or `source` has stored weights. `text`
/// is called only when needed.
WeightCodes weight_codes_for(std::shared_ptr<const ModelSource> source, const Recipe& recipe,
                             const Calibration& calibration,
                             const std::function<CalibrateOptions()>& text);

}  // namespace stamp
