#include "stamp/nn/rope.h"

#include <cmath>
#include <numbers>

#include "stamp/core/error.h"
#include "stamp/nn/row_loop.h"

namespace stamp {
namespace {

/// Llama 3: long wavelengths are stretched by `factor`, short ones kept, the ones between
/// interpolated.
float scale_frequency(float frequency, const RopeScaling& scaling) {
  const double context = static_cast<double>(scaling.original_max_position_embeddings);
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double stretched = frequency / scaling.factor;
  if (wavelength < context / scaling.high_freq_factor) return frequency;
  if (wavelength > context / scaling.low_freq_factor) return static_cast<float>(stretched);
  const double share = (context / wavelength - scaling.low_freq_factor) /
                       (scaling.high_freq_factor - scaling.low_freq_factor);
  return static_cast<float>((1 - share) * stretched + share * frequency);
}

}  // namespace

std::vector<float> rope_inverse_frequencies(int64_t head_dim, double theta,
                                            const std::optional<RopeScaling>& scaling) {
  std::vector<float> frequencies(static_cast<size_t>(head_dim / 2));
  for (size_t j = 0; j < frequencies.size(); ++j) {
    // fp32 throughout, as the models were trained: at position 10^5 an ulp of a frequency is a
    // visible angle.
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(head_dim);
    const float frequency = 1.0f / std::pow(static_cast<float>(theta), exponent);
    frequencies[j] = scaling ? scale_frequency(frequency, *scaling) : frequency;
  }
  return frequencies;
}

RopeTable make_rope_table(std::span<const float> inverse_frequencies, TokenRows rows,
                          int64_t tokens) {
  const int64_t half = static_cast<int64_t>(inverse_frequencies.size());
  RopeTable table{Matrix(tokens, half), Matrix(tokens, half)};
  std::vector<int64_t> positions;
  rows.for_each(tokens, [&](int64_t, const SequenceRows& part) {
    for (int64_t i = 0; i < part.count; ++i) positions.push_back(part.position + i);
  });
  for_each_row(tokens, 16 * half, [&](int64_t i) {  // a sine costs as much as 16 copies
    const auto position = static_cast<float>(positions[static_cast<size_t>(i)]);
    for (int64_t j = 0; j < half; ++j) {
      const float angle = position * inverse_frequencies[static_cast<size_t>(j)];
      table.cosine(i, j) = std::cos(angle);
      table.sine(i, j) = std::sin(angle);
    }
  });
  return table;
}

void apply_rope(FloatView x, const RopeTable& table) {
  const int64_t half = table.cosine.cols();
  if (table.cosine.rows() != x.rows || half == 0 || x.cols % (2 * half) != 0)
    throw_argument("rope: x [{}, {}] does not fit a table of {} positions and heads of {}", x.rows,
                   x.cols, table.cosine.rows(), 2 * half);
  for_each_row(x.rows, x.cols, [&](int64_t i) {
    const float *cosine = table.cosine.row(i), *sine = table.sine.row(i);
    for (float* low = x.row(i); low < x.row(i) + x.cols; low += 2 * half)
      for (int64_t j = 0; j < half; ++j) {
        const float a = low[j], b = low[j + half];
        low[j] = a * cosine[j] - b * sine[j];
        low[j + half] = b * cosine[j] + a * sine[j];
      }
  });
}

}  // namespace stamp
