#include "stamp/quant/wavelet.h"

#include <algorithm>
#include <array>

#include "stamp/quant/column_blocks.h"
#include "stamp/quant/haar.h"

namespace stamp {
namespace {

constexpr int64_t kColumns = 64;
constexpr int kLongest = 10;
constexpr double kRoot2 = 1.4142135623730951;

constexpr double kDb2Low[] = {-0.12940952255126037, 0.2241438680420134, 0.8365163037378079,
                              0.48296291314453416};
constexpr double kDb4Low[] = {-0.010597401785069032, 0.0328830116668852,    0.030841381835560764,
                              -0.18703481171909309,  -0.027983769416859854, 0.6308807679298589,
                              0.7148465705529157,    0.2303778133088965};
constexpr double kSym4Low[] = {-0.07576571478927333,  -0.02963552764599851, 0.49761866763201545,
                               0.8037387518059161,    0.29785779560527736,  -0.09921954357684722,
                               -0.012603967262037833, 0.0322231006040427};
constexpr double kCoif1Low[] = {-0.015655728135791993, -0.07273261951252645, 0.3848648468648578,
                                0.8525720202116004,    0.3378976624574818,   -0.07273261951252645};
constexpr double kCdf53Low[] = {0,          -kRoot2 / 8, kRoot2 / 4, kRoot2 * 3 / 4,
                                kRoot2 / 4, -kRoot2 / 8};
constexpr double kCdf53Dual[] = {0, kRoot2 / 4, kRoot2 / 2, kRoot2 / 4, 0, 0};
constexpr double kCdf97Low[] = {0,
                                0.03782845550726404,
                                -0.023849465019556843,
                                -0.11062440441843718,
                                0.37740285561283066,
                                0.8526986790088938,
                                0.37740285561283066,
                                -0.11062440441843718,
                                -0.023849465019556843,
                                0.03782845550726404};
constexpr double kCdf97Dual[] = {0,
                                 -0.06453888262869706,
                                 -0.04068941760916406,
                                 0.41809227322161724,
                                 0.7884856164055829,
                                 0.41809227322161724,
                                 -0.04068941760916406,
                                 -0.06453888262869706,
                                 0,
                                 0};

/// Row i of a level is sum_j low[j] x[2i + length / 2 - j], and the same with high.
struct Taps {
  std::array<float, kLongest> low{}, high{};
};

double synthesis(const WaveletFilters& filters, int j) {
  return filters.synthesis ? filters.synthesis[j] : filters.analysis[filters.length - 1 - j];
}

Taps analysis_taps(const WaveletFilters& filters) {
  Taps taps;
  for (int j = 0; j < filters.length; ++j) {
    taps.low[static_cast<size_t>(j)] = static_cast<float>(filters.analysis[j]);
    taps.high[static_cast<size_t>(j)] =
        static_cast<float>((j % 2 == 0 ? -1 : 1) * synthesis(filters, j));
  }
  return taps;
}

/// Of the transposed synthesis, so that both directions use the same places.
Taps synthesis_taps(const WaveletFilters& filters) {
  Taps taps;
  for (int j = 0; j < filters.length; ++j) {
    const int mirror = filters.length - 1 - j;
    taps.low[static_cast<size_t>(j)] = static_cast<float>(synthesis(filters, mirror));
    taps.high[static_cast<size_t>(j)] =
        static_cast<float>((mirror % 2 == 0 ? 1 : -1) * filters.analysis[mirror]);
  }
  return taps;
}

/// y += factor * x.
void add_scaled(const float* x, float factor, float* y, int64_t n) {
#pragma omp simd
  for (int64_t c = 0; c < n; ++c) y[c] += factor * x[c];
}

/// Calls body(i, place of x[2i + length / 2 - j], j) for a period of n rows.
template <class Body>
void for_each_tap(int64_t n, int length, Body&& body) {
  for (int64_t i = 0; i < n / 2; ++i)
    for (int j = 0; j < length; ++j) {
      const int64_t at = (2 * i + length / 2 - j) % n;
      body(i, at < 0 ? at + n : at, static_cast<size_t>(j));
    }
}

void analyse(FloatView x, const WaveletFilters& filters, const Taps& taps) {
  const int64_t n = x.rows & ~int64_t{1}, details = x.rows - n / 2;
  const Matrix from = Matrix::copy_of(x);
  if (n < x.rows) std::copy_n(from.row(n), x.cols, x.row(n / 2));
  for (int64_t i = 0; i < n / 2; ++i) {
    std::fill_n(x.row(i), x.cols, 0.0f);
    std::fill_n(x.row(details + i), x.cols, 0.0f);
  }
  for_each_tap(n, filters.length, [&](int64_t i, int64_t at, size_t j) {
    add_scaled(from.row(at), taps.low[j], x.row(i), x.cols);
    add_scaled(from.row(at), taps.high[j], x.row(details + i), x.cols);
  });
}

void synthesise(FloatView x, const WaveletFilters& filters, const Taps& taps) {
  const int64_t n = x.rows & ~int64_t{1}, details = x.rows - n / 2;
  const Matrix from = Matrix::copy_of(x);
  for (int64_t i = 0; i < n; ++i) std::fill_n(x.row(i), x.cols, 0.0f);
  for_each_tap(n, filters.length, [&](int64_t i, int64_t at, size_t j) {
    add_scaled(from.row(i), taps.low[j], x.row(at), x.cols);
    add_scaled(from.row(details + i), taps.high[j], x.row(at), x.cols);
  });
  if (n < x.rows) std::copy_n(from.row(n / 2), x.cols, x.row(n));
}

/// Rows that `level` levels leave to the next one.
int64_t coarse_rows(int64_t rows, int level) { return (rows + (int64_t{1} << level) - 1) >> level; }

}  // namespace

const WaveletFilters kDb2{4, kDb2Low}, kDb4{8, kDb4Low}, kSym4{8, kSym4Low}, kCoif1{6, kCoif1Low};
const WaveletFilters kCdf53{6, kCdf53Low, kCdf53Dual}, kCdf97{10, kCdf97Low, kCdf97Dual};

void wavelet_forward(FloatView x, const WaveletFilters& filters, int levels) {
  levels = std::min(levels, haar_max_levels(x.rows));
  const Taps taps = analysis_taps(filters);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    for (int level = 0; level < levels; ++level)
      analyse(block.rows_from(0, coarse_rows(x.rows, level)), filters, taps);
  });
}

void wavelet_inverse(FloatView x, const WaveletFilters& filters, int levels) {
  levels = std::min(levels, haar_max_levels(x.rows));
  const Taps taps = synthesis_taps(filters);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    for (int level = levels; level-- > 0;)
      synthesise(block.rows_from(0, coarse_rows(x.rows, level)), filters, taps);
  });
}

}  // namespace stamp
