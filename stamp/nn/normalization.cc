#include "stamp/nn/normalization.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/kernels/kernels.h"
#include "stamp/nn/row_loop.h"

namespace stamp {
namespace {

constexpr int64_t kPixelsAtOnce = 1024;

void check_affine(const char* where, const ChannelAffine& affine, int64_t channels) {
  const auto size = static_cast<size_t>(channels);
  if (affine.weight.size() != size || affine.bias.size() != size)
    throw_argument("{}: {} weights and {} biases for {} channels", where, affine.weight.size(),
                   affine.bias.size(), channels);
}

/// Sum over all pixels, per channel, of (x - center)^power, power 1 or 2.
std::vector<double> channel_sums(const PixelMap& x, std::span<const double> center, bool square) {
  const int64_t channels = x.channels(), rows = x.pixels.rows();
  const int64_t blocks = (rows + kPixelsAtOnce - 1) / kPixelsAtOnce;
  std::vector<std::vector<double>> partial(static_cast<size_t>(blocks));
  parallel_for(blocks, [&](int64_t block) {
    std::vector<double> sums(static_cast<size_t>(channels));
    const int64_t end = std::min(rows, (block + 1) * kPixelsAtOnce);
    for (int64_t i = block * kPixelsAtOnce; i < end; ++i)
      for (int64_t c = 0; c < channels; ++c) {
        const double d = x.pixels(i, c) - center[static_cast<size_t>(c)];
        sums[static_cast<size_t>(c)] += square ? d * d : d;
      }
    partial[static_cast<size_t>(block)] = std::move(sums);
  });
  std::vector<double> total(static_cast<size_t>(channels));
  for (const auto& sums : partial)
    for (size_t c = 0; c < total.size(); ++c) total[c] += sums[c];
  return total;
}

/// The mean of each group, for each of its channels.
std::vector<double> spread_means(std::vector<double> sums, int64_t groups, double pixels) {
  const size_t size = sums.size() / static_cast<size_t>(groups);
  for (size_t first = 0; first < sums.size(); first += size) {
    double sum = 0;
    for (size_t c = first; c < first + size; ++c) sum += sums[c];
    for (size_t c = first; c < first + size; ++c)
      sums[c] = sum / (pixels * static_cast<double>(size));
  }
  return sums;
}

}  // namespace

void layer_norm_rows(ConstFloatView x, const ChannelAffine& affine, double eps, FloatView out) {
  const auto cols = static_cast<size_t>(x.cols);
  if (out.rows != x.rows || out.cols != x.cols || affine.weight.size() != cols ||
      affine.bias.size() != cols)
    throw_argument("layer norm: x [{}, {}], {} weights, {} biases, out [{}, {}] do not fit", x.rows,
                   x.cols, affine.weight.size(), affine.bias.size(), out.rows, out.cols);
  for_each_row(x.rows, x.cols, [&](int64_t i) {
    kernels().layer_norm(x.row(i), affine.weight.data(), affine.bias.data(),
                         static_cast<float>(eps), out.row(i), x.cols);
  });
}

void modulated_layer_norm(ConstFloatView x, std::span<const float> scale,
                          std::span<const float> shift, double eps, FloatView out) {
  ChannelAffine affine{{scale.begin(), scale.end()}, {shift.begin(), shift.end()}};
  for (float& value : affine.weight) value += 1.0f;
  layer_norm_rows(x, affine, eps, out);
}

ChannelAffine group_norm(const PixelMap& x, int64_t groups, const ChannelAffine& affine,
                         double eps) {
  const int64_t channels = x.channels();
  check_affine("group norm", affine, channels);
  if (groups < 1 || channels % groups != 0)
    throw_argument("group norm: {} channels do not make {} groups", channels, groups);
  const auto pixels = static_cast<double>(x.pixels.rows());
  const std::vector<double> zero(static_cast<size_t>(channels));
  const auto mean = spread_means(channel_sums(x, zero, false), groups, pixels);
  const auto variance = spread_means(channel_sums(x, mean, true), groups, pixels);
  ChannelAffine result = affine;
  for (size_t c = 0; c < mean.size(); ++c) {
    const double factor = affine.weight[c] / std::sqrt(variance[c] + eps);
    result.weight[c] = static_cast<float>(factor);
    result.bias[c] = static_cast<float>(affine.bias[c] - mean[c] * factor);
  }
  return result;
}

void rms_norm_pixels(PixelMap& x, const ChannelAffine& affine, double eps) {
  check_affine("rms norm", affine, x.channels());
  const int64_t channels = x.channels();
  for_each_row(x.pixels.rows(), channels, [&](int64_t i) {
    float* row = x.pixels.row(i);
    kernels().rms_norm(row, affine.weight.data(), static_cast<float>(eps), row, channels);
    for (int64_t c = 0; c < channels; ++c) row[c] += affine.bias[static_cast<size_t>(c)];
  });
}

}  // namespace stamp
