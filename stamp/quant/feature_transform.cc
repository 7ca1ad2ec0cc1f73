#include "stamp/quant/feature_transform.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <mutex>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

constexpr int64_t kElementsPerTask = 1 << 14;

std::string order_name(int64_t order, int64_t odd) {
  if (odd == 1 || odd == order) return fmt::format("H_{}", order);
  return fmt::format("H_{} = H_{} x H_{}", order, odd, order / odd);
}

/// The factor of order K that multiplies columns, kept for the life of the program (few occur).
std::shared_ptr<const Matrix> column_factor(int64_t odd, bool inverse) {
  static std::mutex guard;
  static std::map<std::pair<int64_t, bool>, std::shared_ptr<const Matrix>> factors;
  const std::lock_guard lock(guard);
  std::shared_ptr<const Matrix>& factor = factors[{odd, inverse}];
  if (!factor) {
    Matrix h = hadamard_matrix(odd);
    if (inverse) return factor = std::make_shared<const Matrix>(std::move(h));
    Matrix transposed(odd, odd);
    kernels().transpose_f32(h.data(), odd, transposed.data(), odd, odd, odd);
    factor = std::make_shared<const Matrix>(std::move(transposed));
  }
  return factor;
}

}  // namespace

HadamardPlan plan_hadamard(int64_t n, int64_t head_dim) {
  if (n < 1) throw_argument("hadamard: expected at least 1 feature, got {}", n);
  if (const int64_t odd = hadamard_odd_part(n); odd != 0)
    return {n, odd, false, order_name(n, odd)};
  if (head_dim > 0 && n % head_dim == 0) {
    if (const int64_t odd = hadamard_odd_part(head_dim); odd != 0) {
      return {head_dim, odd, false,
              fmt::format("I_{} x {}", n / head_dim, order_name(head_dim, odd))};
    }
  }
  const int64_t power = int64_t{1} << std::countr_zero(static_cast<uint64_t>(n));
  return {power, 1, false, fmt::format("I_{} x H_{} (block-diagonal)", n / power, power)};
}

HadamardPlan inverse_of(HadamardPlan plan) {
  plan.inverse = !plan.inverse;
  return plan;
}

RowRotation::RowRotation(const HadamardPlan& plan, int64_t cols)
    : order_(plan.order), odd_(plan.odd), cols_(cols) {
  if (plan.order < 1 || cols % plan.order != 0 || hadamard_odd_part(plan.order) != plan.odd) {
    throw_argument("hadamard: a plan of order {} does not fit rows of {} features", plan.order,
                   cols);
  }
  if (plan.odd > 1) factor_ = column_factor(plan.odd, plan.inverse);
}

void RowRotation::apply(const float* in, float* out, float* scratch) const {
  const int64_t width = order_ / odd_;
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(order_)));
  for (int64_t first = 0; first < cols_; first += order_) {
    if (odd_ == 1) {
      kernels().walsh(in + first, out + first, width, scale);
      continue;
    }
    for (int64_t i = 0; i < order_; i += width)
      kernels().walsh(in + first + i, scratch + i, width, scale);
    kernels().gemm_f32(factor_->data(), odd_, scratch, width, out + first, width, odd_, width, odd_,
                       0);
  }
}

void apply_hadamard(FloatView x, const HadamardPlan& plan) {
  const RowRotation rotation(plan, x.cols);
  const int64_t grain = std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, x.cols));
  parallel_ranges(x.rows, grain, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(rotation.scratch_size()));
    for (int64_t row = begin; row < end; ++row)
      rotation.apply(x.row(row), x.row(row), scratch.data());
  });
}

}  // namespace stamp
