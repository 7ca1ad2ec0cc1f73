#include "stamp/quant/feature_transform.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <mutex>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"

namespace stamp {
namespace {

constexpr int64_t kElementsPerTask = 1 << 14;

std::string order_name(int64_t order, int64_t odd) {
  if (odd == 1 || odd == order) return fmt::format("H_{}", order);
  return fmt::format("H_{} = H_{} x H_{}", order, odd, order / odd);
}

/// The factor of order K, kept for the life of the program (few orders occur).
std::shared_ptr<const Matrix> base_factor(int64_t odd) {
  static std::mutex guard;
  static std::map<int64_t, std::shared_ptr<const Matrix>> factors;
  const std::lock_guard lock(guard);
  std::shared_ptr<const Matrix>& factor = factors[odd];
  if (!factor) factor = std::make_shared<const Matrix>(hadamard_matrix(odd));
  return factor;
}

void add_subtract(float* __restrict a, float* __restrict b, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float sum = a[i] + b[i], difference = a[i] - b[i];
    a[i] = sum;
    b[i] = difference;
  }
}

/// The first two stages at once: they have no long runs to vectorize over.
void walsh_of_fours(float* x, int64_t size) {
#pragma omp simd
  for (int64_t i = 0; i < size; i += 4) {
    const float a = x[i] + x[i + 1], b = x[i] - x[i + 1];
    const float c = x[i + 2] + x[i + 3], d = x[i + 2] - x[i + 3];
    x[i] = a + c;
    x[i + 1] = b + d;
    x[i + 2] = a - c;
    x[i + 3] = b - d;
  }
}

/// x := x H_size (Sylvester, not normalised); size is a power of two.
void walsh(float* x, int64_t size) {
  int64_t half = 1;
  if (size >= 4) {
    walsh_of_fours(x, size);
    half = 4;
  }
  for (; half < size; half *= 2) {
    for (int64_t first = 0; first < size; first += 2 * half) {
      add_subtract(x + first, x + first + half, half);
    }
  }
}

/// out[j, :] = scale * sum_i h[i, j] x[i, :] for x, out [K, width].
void mix(const Matrix& h, const float* __restrict x, int64_t width, float scale,
         float* __restrict out) {
  const int64_t k = h.rows();
  for (int64_t j = 0; j < k; ++j) {
    float* sum = out + j * width;
    std::fill_n(sum, width, 0.0f);
    for (int64_t i = 0; i < k; ++i) {
      const float* row = x + i * width;
      const float sign = h(i, j);
#pragma omp simd
      for (int64_t c = 0; c < width; ++c) sum[c] += sign * row[c];
    }
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) sum[c] *= scale;
  }
}

/// One diagonal block of a row; `scratch` holds plan.order floats.
void transform_block(float* x, const HadamardPlan& plan, const Matrix& base, float* scratch) {
  const int64_t width = plan.order / plan.odd;
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(plan.order)));
  for (int64_t i = 0; i < plan.odd; ++i) walsh(x + i * width, width);
  mix(base, x, width, scale, scratch);
  std::copy_n(scratch, plan.order, x);
}

}  // namespace

HadamardPlan plan_hadamard(int64_t n, int64_t head_dim) {
  if (n < 1) throw_argument("hadamard: expected at least 1 feature, got {}", n);
  if (const int64_t odd = hadamard_odd_part(n); odd != 0) return {n, odd, order_name(n, odd)};
  if (head_dim > 0 && n % head_dim == 0) {
    if (const int64_t odd = hadamard_odd_part(head_dim); odd != 0) {
      return {head_dim, odd, fmt::format("I_{} x {}", n / head_dim, order_name(head_dim, odd))};
    }
  }
  const int64_t power = int64_t{1} << std::countr_zero(static_cast<uint64_t>(n));
  return {power, 1, fmt::format("I_{} x H_{} (block-diagonal)", n / power, power)};
}

void apply_hadamard(FloatView x, const HadamardPlan& plan) {
  if (plan.order < 1 || x.cols % plan.order != 0 || hadamard_odd_part(plan.order) != plan.odd) {
    throw_argument("hadamard: a plan of order {} does not fit rows of {} features", plan.order,
                   x.cols);
  }
  const std::shared_ptr<const Matrix> base = base_factor(plan.odd);
  const int64_t grain = std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, x.cols));
  parallel_ranges(x.rows, grain, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(plan.order));
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t first = 0; first < x.cols; first += plan.order) {
        transform_block(x.row(row) + first, plan, *base, scratch.data());
      }
    }
  });
}

}  // namespace stamp
