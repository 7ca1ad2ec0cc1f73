#include "stamp/quant/dct.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "stamp/quant/column_blocks.h"
#include "stamp/quant/fft.h"

namespace stamp {
namespace {

// A column block is one complex matrix: its first kFftLanes columns are the real parts, the others
// the imaginary ones; the symmetry of real spectra separates them again.
constexpr int64_t kColumns = 2 * kFftLanes;

/// Position of input row i in the sequence whose DFT gives the DCT (Makhoul): even rows ascending,
/// odd descending.
int64_t makhoul_index(int64_t i, int64_t n) { return i % 2 == 0 ? i / 2 : n - 1 - i / 2; }

struct Rotation {
  std::vector<float> cosine, sine;  // of pi k / (2n), times the scale of row k
};

/// `dc` and `others` scale row 0 and the rest.
Rotation rotations(int64_t n, double dc, double others) {
  Rotation rotation;
  for (int64_t k = 0; k < n; ++k) {
    const double angle = std::numbers::pi * static_cast<double>(k) / (2.0 * static_cast<double>(n));
    const double scale = k == 0 ? dc : others;
    rotation.cosine.push_back(static_cast<float>(scale * std::cos(angle)));
    rotation.sine.push_back(static_cast<float>(scale * std::sin(angle)));
  }
  return rotation;
}

void load_row(const float* row, int64_t cols, float* re, float* im) {
  const int64_t first = std::min(cols, kFftLanes), second = cols - first;
  std::fill(std::copy_n(row, first, re), re + kFftLanes, 0.0f);
  std::fill(std::copy_n(row + first, second, im), im + kFftLanes, 0.0f);
}

void store_row(const float* re, const float* im, int64_t cols, float* row) {
  const int64_t first = std::min(cols, kFftLanes);
  std::copy_n(re, first, row);
  std::copy_n(im, cols - first, row + first);
}

void forward_block(FloatView x, const FftPlan& plan, const Rotation& rotation) {
  const int64_t n = x.rows;
  ComplexLanes data(plan.buffer_rows()), scratch(plan.buffer_rows());
  for (int64_t i = 0; i < n; ++i) {
    const int64_t at = makhoul_index(i, n) * kFftLanes;
    load_row(x.row(i), x.cols, &data.re[at], &data.im[at]);
  }
  plan.run(data, scratch);
  for (int64_t k = 0; k < n; ++k) {
    const int64_t mirror = (n - k) % n;
    const float *zr = &data.re[k * kFftLanes], *zi = &data.im[k * kFftLanes];
    const float *mr = &data.re[mirror * kFftLanes], *mi = &data.im[mirror * kFftLanes];
    const float c = 0.5f * rotation.cosine[k], s = 0.5f * rotation.sine[k];
    float a[kFftLanes], b[kFftLanes];
#pragma omp simd
    for (int64_t lane = 0; lane < kFftLanes; ++lane) {
      a[lane] = c * (zr[lane] + mr[lane]) + s * (zi[lane] - mi[lane]);
      b[lane] = c * (zi[lane] + mi[lane]) + s * (mr[lane] - zr[lane]);
    }
    store_row(a, b, x.cols, x.row(k));
  }
}

/// Spectrum V_k = exp(i pi k / (2n)) (C_k - i C_{n-k}) of both column halves, C_n = 0.
void load_spectrum(ConstFloatView x, int64_t k, const Rotation& rotation, float* zr, float* zi) {
  float a[kFftLanes], b[kFftLanes], ma[kFftLanes] = {}, mb[kFftLanes] = {};
  load_row(x.row(k), x.cols, a, b);
  if (k > 0) load_row(x.row(x.rows - k), x.cols, ma, mb);
  const float c = rotation.cosine[k], s = rotation.sine[k];
#pragma omp simd
  for (int64_t lane = 0; lane < kFftLanes; ++lane) {
    const float a_re = c * a[lane] + s * ma[lane], a_im = s * a[lane] - c * ma[lane];
    const float b_re = c * b[lane] + s * mb[lane], b_im = s * b[lane] - c * mb[lane];
    zr[lane] = a_re - b_im;
    zi[lane] = a_im + b_re;
  }
}

void inverse_block(FloatView x, const FftPlan& plan, const Rotation& rotation) {
  const int64_t n = x.rows;
  ComplexLanes data(plan.buffer_rows()), scratch(plan.buffer_rows());
  for (int64_t k = 0; k < n; ++k) {
    load_spectrum(x, k, rotation, &data.im[k * kFftLanes], &data.re[k * kFftLanes]);
  }
  plan.run(data, scratch);  // with re and im exchanged: the inverse
  for (int64_t i = 0; i < n; ++i) {
    const int64_t at = makhoul_index(i, n) * kFftLanes;
    store_row(&data.im[at], &data.re[at], x.cols, x.row(i));
  }
}

}  // namespace

void dct_forward(FloatView x, int) {
  const auto n = static_cast<double>(x.rows);
  const auto plan = fft_plan(x.rows);
  const Rotation rotation = rotations(x.rows, std::sqrt(1 / n), std::sqrt(2 / n));
  for_each_column_block(x, kColumns,
                        [&](FloatView block) { forward_block(block, *plan, rotation); });
}

void dct_inverse(FloatView x, int) {
  const auto n = static_cast<double>(x.rows);
  const auto plan = fft_plan(x.rows);
  const Rotation rotation = rotations(x.rows, std::sqrt(1 / n), std::sqrt(1 / (2 * n)));
  for_each_column_block(x, kColumns,
                        [&](FloatView block) { inverse_block(block, *plan, rotation); });
}

}  // namespace stamp
