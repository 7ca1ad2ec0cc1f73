#include "stamp/quant/sequence_transform.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/quant/dct.h"
#include "stamp/quant/grid_transform.h"
#include "stamp/quant/haar.h"
#include "stamp/quant/klt.h"
#include "stamp/quant/wavelet.h"
#include "stamp/quant/wht.h"

namespace stamp {
namespace {

constexpr int64_t kProbedRows = 64;

std::vector<Band> single_rows(int64_t tokens, const TransformParams&) {
  std::vector<Band> bands;
  for (int64_t i = 0; i < tokens; ++i) bands.push_back({i, 1});
  return bands;
}
std::vector<Band> dyadic_bands(int64_t tokens, const TransformParams& params) {
  return haar_bands(tokens, params.levels);
}

void leave_alone(FloatView, const TransformParams&) {}
int64_t one_row(int64_t, const TransformParams&) { return 1; }
int64_t all_rows(int64_t tokens, const TransformParams&) { return tokens; }
int64_t haar_run(int64_t tokens, const TransformParams& params) {
  return int64_t{1} << std::min(params.levels, haar_max_levels(tokens));
}

/// A transform that reads the levels only.
template <void (*kTransform)(FloatView, int)>
void by_levels(FloatView x, const TransformParams& params) {
  kTransform(x, params.levels);
}

template <const WaveletFilters& kFilters>
constexpr SequenceTransform wavelet(std::string_view name, bool orthonormal) {
  return {name,
          [](FloatView x, const TransformParams& p) { wavelet_forward(x, kFilters, p.levels); },
          [](FloatView x, const TransformParams& p) { wavelet_inverse(x, kFilters, p.levels); },
          dyadic_bands,
          all_rows,
          true,
          false,
          orthonormal};
}

constexpr SequenceTransform kTransforms[] = {
    {"identity", leave_alone, leave_alone, single_rows, one_row, false, true},
    {"haar", by_levels<haar_forward>, by_levels<haar_inverse>, dyadic_bands, haar_run, true, true},
    {"haar2d", haar2d_forward, haar2d_inverse, haar2d_bands, all_rows, true},
    {"dct", by_levels<dct_forward>, by_levels<dct_inverse>, single_rows, all_rows},
    {"dct2d", dct2d_forward, dct2d_inverse, single_rows, all_rows},
    {"wht", by_levels<wht_forward>, by_levels<wht_inverse>, single_rows, all_rows},
    {"klt", klt_forward, klt_inverse, single_rows, klt_run},
    wavelet<kDb2>("db2", true),
    wavelet<kDb4>("db4", true),
    wavelet<kSym4>("sym4", true),
    wavelet<kCoif1>("coif1", true),
    wavelet<kCdf53>("cdf53", false),
    wavelet<kCdf97>("cdf97", false),
};

}  // namespace

std::span<const SequenceTransform> sequence_transforms() { return kTransforms; }

const SequenceTransform& sequence_transform(std::string_view name) {
  std::vector<std::string_view> known;
  for (const SequenceTransform& transform : kTransforms) {
    if (transform.name == name) return transform;
    known.push_back(transform.name);
  }
  throw_argument("sequence transform: expected one of {}, got '{}'", fmt::join(known, ", "), name);
}

int auto_levels(const SequenceTransform& transform, int64_t tokens, int64_t high_tokens,
                int64_t grid_width) {
  TransformParams params;
  params.grid_width = grid_width;
  for (int64_t coarse = tokens; transform.has_levels; ++params.levels) {
    TransformParams next = params;
    ++next.levels;
    const int64_t rows = transform.bands(tokens, next).front().count;
    if (rows < high_tokens || rows == coarse) break;
    coarse = rows;
  }
  return params.levels;
}

std::vector<double> inverse_column_energies(const SequenceTransform& transform, int64_t tokens,
                                            const TransformParams& params) {
  std::vector<double> energies(static_cast<size_t>(tokens), transform.orthonormal ? 1.0 : 0.0);
  if (transform.orthonormal) return energies;
  for (int64_t first = 0; first < tokens; first += kProbedRows) {
    const int64_t count = std::min(kProbedRows, tokens - first);
    Matrix unit = Matrix::zeros(tokens, count);
    for (int64_t j = 0; j < count; ++j) unit(first + j, j) = 1;
    transform.inverse(unit.view(), params);
    for (int64_t i = 0; i < tokens; ++i)
      for (int64_t j = 0; j < count; ++j)
        energies[static_cast<size_t>(first + j)] += double{unit(i, j)} * unit(i, j);
  }
  return energies;
}

}  // namespace stamp
