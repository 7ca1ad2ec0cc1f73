#pragma once
// SVDQuant's search for smoothing factors (METHODS 9).
#include "stamp/models/weights.h"
#include "stamp/pipelines/calibrate.h"

namespace stamp {

/// Largest magnitudes of the input and of the weights, per channel, to the powers a and -b: the
/// candidate (a, b) divides the input by inputs^a / weights^b. The first is no smoothing, then
/// (i/20, 0) and (i/20, 1 - i/20) for i = 1 .. 19.
struct SmoothingCandidate {
  double inputs = 0, weights = 0;
};
std::vector<SmoothingCandidate> smoothing_candidates();

/// FeatureMap::scale of the candidate with the least squared error of outputs x W^T for the rows of
/// `x`: inputs rounded as the recipe's narrow rows are (without L), weights split into branch and
/// rounded rest (one round). Empty: no smoothing is best.
std::vector<float> search_smoothing(ConstFloatView x, ConstFloatView weight, const Recipe& recipe);

/// The same for every group of linears, on inputs of the plain model from at most a thousand
/// tokens.
Calibration search_smoothing(std::shared_ptr<const ModelSource> source, const Recipe& recipe,
                             const CalibrateOptions& text);

}  // namespace stamp
