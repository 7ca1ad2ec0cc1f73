#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <numbers>

#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/core/rng.h"
#include "stamp/pipelines/flatquant/learn.h"

namespace stamp::flatquant {
namespace {

constexpr float kSmallest = 1e-5f, kInitialLogit = 4;
constexpr float kBeta1 = 0.9f, kBeta2 = 0.999f, kEpsilon = 1e-8f;
constexpr double kLastRate = 1e-3;

/// Q of the QR factorisation of a Gaussian, signs such that R's diagonal is positive.
Matrix random_orthogonal(int64_t n, Rng& rng) {
  Eigen::MatrixXd gaussian(n, n);
  for (int64_t j = 0; j < n; ++j)
    for (int64_t i = 0; i < n; ++i) gaussian(i, j) = rng.normal();
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(gaussian);
  const Eigen::MatrixXd q = qr.householderQ();
  Matrix result(n, n);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      result(i, j) = static_cast<float>(qr.matrixQR()(j, j) < 0 ? -q(i, j) : q(i, j));
  return result;
}

/// n = a b as nearly square as it goes, a <= b.
int64_t smaller_factor(int64_t n) {
  auto a = static_cast<int64_t>(std::sqrt(static_cast<double>(n)));
  while (n % a != 0) --a;
  return a;
}

/// c_j = wmax^0.7 / xmax^0.3 (METHODS 7.1).
std::vector<float> balance(const std::vector<float>& peaks,
                           std::initializer_list<const Matrix*> weights) {
  std::vector<float> scale(peaks.size());
  for (size_t j = 0; j < scale.size(); ++j) {
    float largest = kSmallest;
    for (const Matrix* weight : weights)
      for (int64_t i = 0; i < weight->rows(); ++i)
        largest = std::max(largest, std::abs((*weight)(i, static_cast<int64_t>(j))));
    scale[j] = std::max(kSmallest,
                        std::pow(largest, 0.7f) / std::pow(std::max(kSmallest, peaks[j]), 0.3f));
  }
  return scale;
}

ClipLogits initial_clip(size_t rows) {
  return {.low = std::vector<float>(rows, kInitialLogit),
          .high = std::vector<float>(rows, kInitialLogit)};
}

/// Loss of one window; `gradient` becomes its derivative.
double squared_error(const Matrix& got, const Matrix& want, Matrix& gradient) {
  const auto count = static_cast<double>(got.size());
  double loss = 0;
  gradient.reshape(got.rows(), got.cols());
  for (int64_t i = 0; i < got.size(); ++i) {
    const double d = double{got.data()[i]} - want.data()[i];
    loss += d * d / count;
    gradient.data()[i] = static_cast<float>(2 * d / count);
  }
  return loss;
}

}  // namespace

BlockParameters initial_parameters(const BlockWeights& weights, const LlmConfig& config,
                                   const std::array<std::vector<float>, kSites>& peaks,
                                   uint64_t seed) {
  Rng rng(seed);
  BlockParameters parameters;
  const auto& w = weights.weight;
  for (const Site site : {kAttentionInput, kMlpInput, kDownInput}) {
    const auto n = static_cast<int64_t>(peaks[site].size()), a = smaller_factor(n);
    parameters.map[site].left = random_orthogonal(a, rng);
    parameters.map[site].right = random_orthogonal(n / a, rng);
  }
  parameters.map[kAttentionInput].scale = balance(peaks[kAttentionInput], {&w[kQ], &w[kK], &w[kV]});
  parameters.map[kMlpInput].scale = balance(peaks[kMlpInput], {&w[kGate], &w[kUp]});
  parameters.map[kDownInput].scale = balance(peaks[kDownInput], {&w[kDown]});
  parameters.map[kOutputInput].left = random_orthogonal(config.heads, rng);
  parameters.map[kKey].right = random_orthogonal(config.head_dim, rng);
  parameters.map[kValue].right = random_orthogonal(config.head_dim, rng);
  for (ClipLogits& clip : parameters.clip) clip = initial_clip(1);
  for (size_t i = 0; i < kWeights; ++i)
    parameters.weight_clip[i] = initial_clip(static_cast<size_t>(w[i].rows()));
  return parameters;
}

void AdamW::update(std::span<float> values, std::span<const float> gradient, float rate,
                   size_t index) {
  if (mean_.size() <= index) {
    mean_.resize(index + 1);
    square_.resize(index + 1);
  }
  mean_[index].resize(values.size());
  square_[index].resize(values.size());
  const auto t = static_cast<float>(done_ + 1);
  const float mean_share = 1 - std::pow(kBeta1, t), square_share = 1 - std::pow(kBeta2, t);
  for (size_t i = 0; i < values.size(); ++i) {
    float &mean = mean_[index][i], &square = square_[index][i];
    mean += (1 - kBeta1) * (gradient[i] - mean);
    square += (1 - kBeta2) * (gradient[i] * gradient[i] - square);
    values[i] *= 1 - rate * options_.weight_decay;
    values[i] -= rate * (mean / mean_share) / (std::sqrt(square / square_share) + kEpsilon);
  }
}

void AdamW::step(BlockParameters& parameters, BlockParameters& gradient) {
  const double angle = std::numbers::pi * static_cast<double>(done_) / static_cast<double>(steps_);
  const auto share = static_cast<float>(kLastRate + (1 - kLastRate) * 0.5 * (1 + std::cos(angle)));
  size_t index = 0;
  const auto update_all = [&](const auto& values, const auto& gradients, float rate) {
    for (size_t i = 0; i < values.size(); ++i) update(values[i], gradients[i], rate, index++);
  };
  update_all(parameters.transforms(), gradient.transforms(), share * options_.transform_rate);
  update_all(parameters.clips(), gradient.clips(), share * options_.clip_rate);
  ++done_;
}

LearnResult learn_block(const BlockSpec& spec, const BlockWeights& weights,
                        std::span<const Matrix> inputs, std::span<const Matrix> targets,
                        const RopeTable& rope, const LearnOptions& options,
                        BlockParameters& parameters) {
  const size_t batch = static_cast<size_t>(options.batch);
  const size_t batches = (inputs.size() + batch - 1) / batch;
  AdamW optimizer(options, static_cast<int64_t>(batches) * options.epochs);
  LearnResult result;
  Matrix derivative;
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    double epoch_loss = 0;
    for (size_t first = 0; first < inputs.size(); first += batch) {
      if (interrupted()) throw_runtime("flatquant: interrupted");
      const size_t end = std::min(first + batch, inputs.size());
      BlockParameters gradient = parameters.zeros();
      QuantizedBlock block(spec, weights, parameters);
      double loss = 0;
      for (size_t i = first; i < end; ++i) {
        QuantizedBlock::Pass pass;
        const Matrix out = block.forward(inputs[i].view(), rope, pass);
        loss += squared_error(out, targets[i], derivative);
        block.backward(rope, pass, derivative, gradient);
      }
      block.finish(gradient);
      epoch_loss += loss / static_cast<double>(inputs.size());
      // The relative error is what counts, whatever the size of the residual stream.
      for (const auto& part : {gradient.transforms(), gradient.clips()})
        for (const std::span<float> values : part)
          for (float& value : values) value /= static_cast<float>(std::max(loss, 1e-30));
      optimizer.step(parameters, gradient);
    }
    if (epoch == 0) result.first_loss = epoch_loss;
    result.last_loss = epoch_loss;
  }
  return result;
}

}  // namespace stamp::flatquant
