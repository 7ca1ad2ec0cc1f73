#include "stamp/nn/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "stamp/core/error.h"
#include "stamp/nn/row_loop.h"

namespace stamp {
namespace {

float plain_frequency(size_t j, int64_t head_dim, double theta) {
  // fp32 throughout, as the models were trained: at position 10^5 an ulp of a frequency is a
  // visible angle.
  const float exponent = static_cast<float>(2 * j) / static_cast<float>(head_dim);
  return 1.0f / std::pow(static_cast<float>(theta), exponent);
}

float llama3_frequency(float frequency, const RopeScaling& scaling) {
  const double context = static_cast<double>(scaling.original_max_position_embeddings);
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double stretched = frequency / scaling.factor;
  if (wavelength < context / scaling.high_freq_factor) return frequency;
  if (wavelength > context / scaling.low_freq_factor) return static_cast<float>(stretched);
  const double share = (context / wavelength - scaling.low_freq_factor) /
                       (scaling.high_freq_factor - scaling.low_freq_factor);
  return static_cast<float>((1 - share) * stretched + share * frequency);
}

/// Pairs of dimensions (with fractions) between which YaRN goes over from kept to stretched.
struct YarnRamp {
  double low, high;

  YarnRamp(int64_t head_dim, double theta, const RopeScaling& scaling) {
    const double dim = static_cast<double>(head_dim);
    const double context = static_cast<double>(scaling.original_max_position_embeddings);
    const auto pair_turning = [&](double times) {
      return dim * std::log(context / (times * 2 * std::numbers::pi)) / (2 * std::log(theta));
    };
    low = pair_turning(scaling.beta_fast);
    high = pair_turning(scaling.beta_slow);
    if (scaling.truncate) {
      low = std::floor(low);
      high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, dim - 1);
    if (low == high) high += 0.001;  // a step, without a division by zero
  }

  float stretched_share(size_t j) const {
    const float at =
        (static_cast<float>(j) - static_cast<float>(low)) / static_cast<float>(high - low);
    return std::clamp(at, 0.0f, 1.0f);
  }
};

float yarn_frequency(float frequency, float share, double factor) {
  const float stretched = 1.0f / (static_cast<float>(factor) * (1.0f / frequency));
  return stretched * share + frequency * (1.0f - share);
}

}  // namespace

RopeFrequencies rope_frequencies(int64_t head_dim, double theta,
                                 const std::optional<RopeScaling>& scaling) {
  RopeFrequencies result{std::vector<float>(static_cast<size_t>(head_dim / 2))};
  for (size_t j = 0; j < result.inverse.size(); ++j)
    result.inverse[j] = plain_frequency(j, head_dim, theta);
  if (!scaling) return result;
  switch (scaling->type) {
    case RopeScaling::Type::kLinear:
      for (float& frequency : result.inverse) frequency /= static_cast<float>(scaling->factor);
      break;
    case RopeScaling::Type::kLlama3:
      for (float& frequency : result.inverse) frequency = llama3_frequency(frequency, *scaling);
      break;
    case RopeScaling::Type::kYarn: {
      const YarnRamp ramp(head_dim, theta, *scaling);
      for (size_t j = 0; j < result.inverse.size(); ++j)
        result.inverse[j] =
            yarn_frequency(result.inverse[j], ramp.stretched_share(j), scaling->factor);
      result.attention_factor = static_cast<float>(scaling->attention_factor);
      break;
    }
  }
  return result;
}

RopeTable make_rope_table(const RopeFrequencies& frequencies, TokenRows rows, int64_t tokens) {
  const int64_t half = static_cast<int64_t>(frequencies.inverse.size());
  RopeTable table{Matrix(tokens, half), Matrix(tokens, half)};
  std::vector<int64_t> positions;
  rows.for_each(tokens, [&](int64_t, const SequenceRows& part) {
    for (int64_t i = 0; i < part.count; ++i) positions.push_back(part.position + i);
  });
  for_each_row(tokens, 16 * half, [&](int64_t i) {  // a sine costs as much as 16 copies
    const auto position = static_cast<float>(positions[static_cast<size_t>(i)]);
    for (int64_t j = 0; j < half; ++j) {
      const float angle = position * frequencies.inverse[static_cast<size_t>(j)];
      table.cosine(i, j) = frequencies.attention_factor * std::cos(angle);
      table.sine(i, j) = frequencies.attention_factor * std::sin(angle);
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
