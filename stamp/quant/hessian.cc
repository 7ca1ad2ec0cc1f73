// The Hessian of a linear's squared output error, and its factor (gptq.h).
#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"
#include "stamp/quant/gptq.h"

namespace stamp {
namespace {

constexpr int64_t kTokens = 512, kTile = 64;
/// Adding and subtracting 1.5 2^52 u rounds a double to a multiple of u; u is 2^-20 units.
constexpr double kRound = 1.5 * (int64_t{1} << (52 - 20));
/// Channels that are silent in the rows that `rms` was taken of may be heard later.
constexpr double kSilence = 1.0 / 32;
constexpr int kRetries = 250;

std::vector<int64_t> quantization_order(const Hessian& hessian, bool act_order) {
  std::vector<int64_t> order(static_cast<size_t>(hessian.dim()));
  std::iota(order.begin(), order.end(), 0);
  if (act_order)
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return hessian.at(a, a) > hessian.at(b, b); });
  return order;
}

/// L of the lower Cholesky factorisation of H' with rows and columns in reverse order; false when
/// H' is not positive definite.
bool factorise(const Hessian& hessian, const GptqFactor& plan, double shift,
               Eigen::MatrixXd& matrix) {
  const int64_t n = hessian.dim();
  parallel_for(n, [&](int64_t column) {
    const int64_t a = plan.order[static_cast<size_t>(n - 1 - column)];
    for (int64_t row = column; row < n; ++row)
      matrix(row, column) = hessian.at(plan.order[static_cast<size_t>(n - 1 - row)], a);
    matrix(column, column) += (plan.dead[static_cast<size_t>(a)] != 0 ? 1.0 : 0.0) + shift;
  });
  const Eigen::LLT<Eigen::Ref<Eigen::MatrixXd>> cholesky(matrix);
  return cholesky.info() == Eigen::Success && matrix.diagonal().allFinite();
}

}  // namespace

Hessian::Hessian(const std::vector<float>& rms) {
  if (rms.empty()) throw_argument("hessian: expected at least 1 channel, got 0");
  double energy = 0;
  for (const float channel : rms) energy += double{channel} * channel;
  const double mean = std::sqrt(energy / static_cast<double>(rms.size()));
  for (const float channel : rms) {
    const double level = mean == 0 ? 1 : std::max<double>(channel, mean * kSilence);
    unit_.push_back(std::exp2(std::floor(std::log2(level))));
  }
  lower_.resize(rms.size() * (rms.size() + 1) / 2);
}

double Hessian::at(int64_t i, int64_t j) const {
  if (i < j) std::swap(i, j);
  return lower_[static_cast<size_t>(i * (i + 1) / 2 + j)];
}

void Hessian::add(ConstFloatView x) {
  if (x.cols != dim()) throw_argument("hessian: expected {} channels, got {}", dim(), x.cols);
  const int64_t tiles = (dim() + kTile - 1) / kTile;
  Matrix transposed(dim(), kTokens);
  for (int64_t first = 0; first < x.rows; first += kTokens) {
    const ConstFloatView rows = x.rows_from(first, std::min(kTokens, x.rows - first));
    kernels().transpose_f32(rows.data, rows.stride, transposed.data(), kTokens, rows.rows, dim());
    parallel_for(tiles, [&](int64_t index) {
      const int64_t top = (tiles - 1 - index) * kTile;  // long rows first
      const int64_t count = std::min(kTile, dim() - top);
      Matrix tile(count, top + count);
      kernels().gemm_f32(transposed.row(top), kTokens, rows.data, rows.stride, tile.data(),
                         tile.cols(), count, tile.cols(), rows.rows, 0);
      for (int64_t i = top; i < top + count; ++i) {
        double* sums = lower_.data() + i * (i + 1) / 2;
        const double* const units = unit_.data();
        const double round = kRound * units[i];
        for (int64_t j = 0; j <= i; ++j)
          sums[j] += (tile(i - top, j) + round * units[j]) - round * units[j];
      }
    });
  }
}

std::vector<float> channel_rms(ConstFloatView x) {
  std::vector<double> energy(static_cast<size_t>(x.cols));
  for (int64_t t = 0; t < x.rows; ++t)
    for (int64_t i = 0; i < x.cols; ++i)
      energy[static_cast<size_t>(i)] += double{x(t, i)} * x(t, i);
  std::vector<float> rms;
  for (const double sum : energy)
    rms.push_back(static_cast<float>(std::sqrt(sum / static_cast<double>(x.rows))));
  return rms;
}

GptqFactor factor_hessian(const Hessian& hessian, const WeightSpec& spec) {
  const int64_t n = hessian.dim();
  GptqFactor result{.order = quantization_order(hessian, spec.act_order)};
  double mean = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double energy = hessian.at(i, i);
    result.dead.push_back(energy == 0);
    mean += (energy == 0 ? 1.0 : energy) / static_cast<double>(n);
  }
  Eigen::MatrixXd matrix(n, n);
  bool done = false;
  for (int i = 0; i <= kRetries && !done && std::isfinite(mean); ++i) {
    result.damping = spec.damping * (1 + 0.1 * i);
    done = factorise(hessian, result, result.damping * mean, matrix);
  }
  if (!done)
    throw_runtime(
        "gptq: the Hessian of {} channels is not positive definite, not even with damping {}", n,
        result.damping);
  result.factor = Matrix::zeros(n, n);
  parallel_for(n, [&](int64_t i) {
    for (int64_t j = i; j < n; ++j)
      result.factor(i, j) = static_cast<float>(matrix(n - 1 - i, n - 1 - j));
  });
  return result;
}

}  // namespace stamp
