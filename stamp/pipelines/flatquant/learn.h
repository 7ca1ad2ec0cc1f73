#pragma once
// Learning FlatQuant's transforms and clipping, one decoder block after another (METHODS 7).
#include <functional>

#include "stamp/models/layer_stream.h"
#include "stamp/models/weights.h"
#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/flatquant/block.h"

namespace stamp::flatquant {

struct LearnOptions {
  int64_t context = 512, windows = 32, batch = 2;
  int epochs = 15;
  float transform_rate = 5e-3f, clip_rate = 5e-2f, weight_decay = 0.01f;
};

/// Random orthogonal factors, the identity's clipping nearly (sigmoid(4)), scales that balance
/// `peaks` of the linear inputs against the weights.
BlockParameters initial_parameters(const BlockWeights& weights, const LlmConfig& config,
                                   const std::array<std::vector<float>, kSites>& peaks,
                                   uint64_t seed);

/// AdamW with a cosine from its rates to a thousandth of them.
class AdamW {
 public:
  AdamW(const LearnOptions& options, int64_t steps) : options_(options), steps_(steps) {}
  void step(BlockParameters& parameters, BlockParameters& gradient);

 private:
  void update(std::span<float> values, std::span<const float> gradient, float rate, size_t index);
  LearnOptions options_;
  int64_t steps_, done_ = 0;
  std::vector<std::vector<float>> mean_, square_;
};

/// Mean squared error of the first and the last epoch.
struct LearnResult {
  double first_loss = 0, last_loss = 0;
};
/// Improves `parameters` until the rounded block gives `targets` for `inputs` [tokens, hidden] as
/// nearly as it can. Throws std::runtime_error after interrupted().
LearnResult learn_block(const BlockSpec& spec, const BlockWeights& weights,
                        std::span<const Matrix> inputs, std::span<const Matrix> targets,
                        const RopeTable& rope, const LearnOptions& options,
                        BlockParameters& parameters);

/// Recipes with equal keys learn the same.
std::string learning_key(const Recipe& recipe);
/// The statistics of all sites: transforms and clipping for the widths of `recipe`. Every block
/// learns from the plain model's inputs and outputs, so blocks do not depend on one another;
/// finished ones are kept in the folder text.cache (empty: not) and found there again.
Calibration learn(std::shared_ptr<const ModelSource> source, const Recipe& recipe,
                  const CalibrateOptions& text, const LearnOptions& options = {});

}  // namespace stamp::flatquant
