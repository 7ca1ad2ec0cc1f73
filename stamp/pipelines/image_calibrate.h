#pragma once
// Statistics and codes that recipes of diffusion transformers need, pooled over all denoising
// steps.
#include "stamp/pipelines/image_inputs.h"

namespace stamp {

/// Calibrates any number of recipes on the same prompts. Files in a cache folder, named after
/// everything they depend on, let an interrupted run continue behind the last finished pass.
class ImageCalibrator {
 public:
  /// options.prompts: those to calibrate on, other ones than are drawn. `cache`: created when
  /// needed; empty: nothing is kept.
  ImageCalibrator(ImageOptions options, const ImagePlan& plan, std::filesystem::path cache);

  /// Empty when the recipe needs nothing. Features: none, hadamard, smoothquant and vidit-q
  /// (factors from the largest magnitudes), svdquant (searched on a thousand tokens, without L);
  /// smoothing is done online, at every input when the recipe says all_inputs, else at those behind
  /// a norm (self-attention, feed-forward). A low-rank branch minimises the error of outputs on
  /// those tokens. Throws std::invalid_argument for other features and for gptq,
  /// std::runtime_error when prompts are needed and there are none.
  ImageCalibration make(const Recipe& recipe);
  /// Model and prompts, as text.
  const std::string& identity() const { return identity_; }

 private:
  const ImageInputs& inputs();
  Calibration factors(const Recipe& recipe);
  Calibration ranges(const Recipe& recipe, Calibration known);
  WeightCodes codes(const Recipe& recipe, const Calibration& statistics);
  std::filesystem::path file(const std::string& kind, const std::string& key) const;

  ImageOptions options_;
  const ImagePlan& plan_;
  std::filesystem::path cache_;
  std::string identity_;                     // of model and prompts
  ImageInputs inputs_;                       // gathered when first needed
  std::unique_ptr<ImageTransformer> model_;  // plain
};

}  // namespace stamp
