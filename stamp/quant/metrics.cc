#include "stamp/quant/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "stamp/core/error.h"
#include "stamp/core/rng.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// exp(logit - max) of a row, their sum and log-sum-exp. The sum runs in pieces so that fp32
/// partial sums stay short.
struct Softmax {
  explicit Softmax(std::span<const float> logits) : weights(logits.begin(), logits.end()) {
    constexpr size_t kPiece = 256;
    const auto size = static_cast<int64_t>(logits.size());
    const float top = kernels().max_f32(logits.data(), size);
    for (size_t i = 0; i < weights.size(); i += kPiece) {
      const auto count = static_cast<int64_t>(std::min(kPiece, weights.size() - i));
      sum += kernels().exp_scaled(weights.data() + i, count, 1.0f, top);
    }
    log_sum_exp = top + std::log(sum);
  }
  std::vector<float> weights;
  double sum = 0, log_sum_exp = 0;
};

size_t argmax(std::span<const float> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

}  // namespace

void Sqnr::add(ConstFloatView reference, ConstFloatView approximation) {
  if (reference.rows != approximation.rows || reference.cols != approximation.cols) {
    throw_argument("SQNR: expected two matrices of one shape, got [{}, {}] and [{}, {}]",
                   reference.rows, reference.cols, approximation.rows, approximation.cols);
  }
  for (int64_t i = 0; i < reference.rows; ++i) {
    for (int64_t j = 0; j < reference.cols; ++j) {
      const double exact = reference(i, j), error = exact - approximation(i, j);
      signal += exact * exact;
      noise += error * error;
    }
  }
}

double Sqnr::db() const {
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(signal / noise);
}

TokenScore score_token(std::span<const float> reference, std::span<const float> approximation,
                       int64_t target) {
  if (reference.empty() || reference.size() != approximation.size() ||
      target >= static_cast<int64_t>(reference.size())) {
    throw_argument("score: expected two rows of more than {} logits, got {} and {}", target,
                   reference.size(), approximation.size());
  }
  const Softmax p(reference), q(approximation);
  const double lse_reference = p.log_sum_exp, lse = q.log_sum_exp;
  double moved = 0;  // sum of p (reference - approximation), still times p.sum
  for (size_t i = 0; i < reference.size(); ++i)
    moved += p.weights[i] * (double{reference[i]} - approximation[i]);
  const double kl = std::max(0.0, moved / p.sum - (lse_reference - lse));
  TokenScore score{std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::quiet_NaN(),
                   static_cast<float>(kl), argmax(reference) == argmax(approximation)};
  if (target >= 0) {
    score.nll = static_cast<float>(lse - approximation[static_cast<size_t>(target)]);
    score.nll_reference =
        static_cast<float>(lse_reference - reference[static_cast<size_t>(target)]);
  }
  return score;
}

double quantile(std::span<float> values, double q) {
  if (!(q >= 0 && q <= 1)) throw_argument("quantile: expected a fraction in [0, 1], got {}", q);
  if (values.empty()) return kNaN;
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = values.begin() + static_cast<std::ptrdiff_t>(place);
  std::nth_element(values.begin(), below, values.end());
  const double low = *below, part = place - std::floor(place);
  if (part == 0) return low;
  return low + part * (*std::min_element(below + 1, values.end()) - low);
}

Interval bootstrap_mean(std::span<const double> differences, uint64_t seed) {
  constexpr int kResamples = 10000;
  if (differences.empty()) return {kNaN, kNaN};
  Rng rng(seed);
  std::vector<float> means;
  for (int resample = 0; resample < kResamples; ++resample) {
    double sum = 0;
    for (size_t i = 0; i < differences.size(); ++i)
      sum += differences[rng.below(differences.size())];
    means.push_back(static_cast<float>(sum / static_cast<double>(differences.size())));
  }
  return {quantile(means, 0.025), quantile(means, 0.975)};
}

}  // namespace stamp
