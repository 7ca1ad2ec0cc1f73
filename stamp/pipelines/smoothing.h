#pragma once
// Factors per input channel that even out ranges of activations and weights (METHODS 3, 8.1).
#include "stamp/models/weights.h"

namespace stamp {

/// Largest magnitude of every channel of each site's input.
struct PeakObserver : Observer {
  void on_input(const std::string& site, ConstFloatView x, int64_t position) override;
  std::map<std::string, std::vector<float>> peaks;
};

/// FeatureMap::scale of weights that share an input with these largest magnitudes, under a recipe
/// of the feature smoothquant or vidit-q (whose random signs are those of `seed`).
std::vector<float> smoothing_scale(const Recipe& recipe, std::span<const float> inputs,
                                   const std::vector<LinearWeight>& weights, uint64_t seed);

/// SiteStatistics::scale of every site that the recipe smooths, from the peaks of the plain model.
Calibration smoothing_factors(const ModelSource& source, const Recipe& recipe,
                              const PeakObserver& observer);

}  // namespace stamp
