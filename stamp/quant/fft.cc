#include "stamp/quant/fft.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <mutex>
#include <numbers>

namespace stamp {
namespace {

constexpr size_t kCachedPlans = 64;

/// c = a + b, d = (a - b) w for `count` contiguous values.
void butterfly(const float* __restrict ar, const float* __restrict ai, const float* __restrict br,
               const float* __restrict bi, float* __restrict cr, float* __restrict ci,
               float* __restrict dr, float* __restrict di, float wr, float wi, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float re = ar[i] - br[i], im = ai[i] - bi[i];
    cr[i] = ar[i] + br[i];
    ci[i] = ai[i] + bi[i];
    dr[i] = re * wr - im * wi;
    di[i] = re * wi + im * wr;
  }
}

/// Row `row` of data times the complex factor.
void scale_row(ComplexLanes& data, int64_t row, float wr, float wi) {
  float* re = data.re.data() + row * kFftLanes;
  float* im = data.im.data() + row * kFftLanes;
#pragma omp simd
  for (int64_t lane = 0; lane < kFftLanes; ++lane) {
    const float real = re[lane] * wr - im[lane] * wi;
    im[lane] = re[lane] * wi + im[lane] * wr;
    re[lane] = real;
  }
}

int64_t padded_length(int64_t length) {
  const auto n = static_cast<uint64_t>(length);
  return static_cast<int64_t>(std::has_single_bit(n) ? n : std::bit_ceil(2 * n - 1));
}

}  // namespace

/// exp(-2 pi i j / period) for j < count.
FftPlan::Factors FftPlan::unit_roots(int64_t count, int64_t period) {
  Factors factors;
  for (int64_t j = 0; j < count; ++j) {
    const double angle =
        -2 * std::numbers::pi * static_cast<double>(j) / static_cast<double>(period);
    factors.re.push_back(static_cast<float>(std::cos(angle)));
    factors.im.push_back(static_cast<float>(std::sin(angle)));
  }
  return factors;
}

FftPlan::FftPlan(int64_t length)
    : length_(length),
      buffer_rows_(padded_length(length)),
      twiddles_(unit_roots(buffer_rows_ / 2, buffer_rows_)) {
  if (buffer_rows_ == length) return;
  // Bluestein: jk = (j^2 + k^2 - (k - j)^2) / 2 turns the DFT into a convolution with a chirp.
  const Factors roots = unit_roots(2 * length, 2 * length);
  ComplexLanes kernel(buffer_rows_), scratch(buffer_rows_);
  for (int64_t j = 0; j < length; ++j) {
    const auto root = static_cast<size_t>(j * j % (2 * length));
    chirp_.re.push_back(roots.re[root]);
    chirp_.im.push_back(roots.im[root]);
    for (const int64_t row : {j, (buffer_rows_ - j) % buffer_rows_}) {
      kernel.re[static_cast<size_t>(row * kFftLanes)] = roots.re[root];
      kernel.im[static_cast<size_t>(row * kFftLanes)] = -roots.im[root];
    }
  }
  run_power_of_two(kernel, scratch);
  for (int64_t j = 0; j < buffer_rows_; ++j) {
    filter_.re.push_back(kernel.re[static_cast<size_t>(j * kFftLanes)] /
                         static_cast<float>(buffer_rows_));
    filter_.im.push_back(kernel.im[static_cast<size_t>(j * kFftLanes)] /
                         static_cast<float>(buffer_rows_));
  }
}

/// Stockham: every stage writes the other buffer in the order that the next one reads contiguously.
void FftPlan::run_power_of_two(ComplexLanes& data, ComplexLanes& scratch) const {
  int64_t run = 1;  // rows that share a twiddle
  for (int64_t half = buffer_rows_ / 2; half >= 1; half /= 2, run *= 2) {
    const int64_t count = run * kFftLanes;
    for (int64_t p = 0; p < half; ++p) {
      const int64_t a = p * count, b = (p + half) * count, c = 2 * p * count, d = c + count;
      const auto twiddle = static_cast<size_t>(p * run);
      butterfly(&data.re[a], &data.im[a], &data.re[b], &data.im[b], &scratch.re[c], &scratch.im[c],
                &scratch.re[d], &scratch.im[d], twiddles_.re[twiddle], twiddles_.im[twiddle],
                count);
    }
    std::swap(data.re, scratch.re);
    std::swap(data.im, scratch.im);
  }
}

void FftPlan::run(ComplexLanes& data, ComplexLanes& scratch) const {
  if (buffer_rows_ == length_) return run_power_of_two(data, scratch);
  for (int64_t j = 0; j < length_; ++j) {
    scale_row(data, j, chirp_.re[static_cast<size_t>(j)], chirp_.im[static_cast<size_t>(j)]);
  }
  std::fill(data.re.begin() + length_ * kFftLanes, data.re.end(), 0.0f);
  std::fill(data.im.begin() + length_ * kFftLanes, data.im.end(), 0.0f);
  run_power_of_two(data, scratch);
  for (int64_t j = 0; j < buffer_rows_; ++j) {
    scale_row(data, j, filter_.re[static_cast<size_t>(j)], filter_.im[static_cast<size_t>(j)]);
  }
  std::swap(data.re, data.im);  // inverse transform
  run_power_of_two(data, scratch);
  std::swap(data.re, data.im);
  for (int64_t j = 0; j < length_; ++j) {
    scale_row(data, j, chirp_.re[static_cast<size_t>(j)], chirp_.im[static_cast<size_t>(j)]);
  }
}

std::shared_ptr<const FftPlan> fft_plan(int64_t length) {
  static std::mutex guard;
  static std::map<int64_t, std::shared_ptr<const FftPlan>> plans;
  const std::lock_guard lock(guard);
  if (const auto found = plans.find(length); found != plans.end()) return found->second;
  if (plans.size() >= kCachedPlans) plans.clear();  // plans in use stay alive with their users
  return plans[length] = std::make_shared<const FftPlan>(length);
}

}  // namespace stamp
