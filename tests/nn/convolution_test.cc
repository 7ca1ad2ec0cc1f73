#include "stamp/nn/convolution.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/nn/random_matrix.h"

namespace stamp {
namespace {

struct Shape2 {
  int64_t in, out, kernel, height, width;
};

/// A convolution with weights of its own.
struct Sample {
  Sample(const Shape2& s, const ConvolutionOptions& options, bool with_bias)
      : weight(random_matrix(s.out, s.in / options.groups * s.kernel * s.kernel, 1)),
        bias(random_matrix(1, s.out, 2)),
        options(options),
        kernel(s.kernel),
        x(s.height, s.width, s.in) {
    x.pixels = random_matrix(s.height * s.width, s.in, 3);
    std::optional<TensorView> bias_view;
    if (with_bias)
      bias_view = {DType::kF32, {s.out}, bias.data()};
    else
      std::fill_n(bias.data(), s.out, 0.0f);
    convolution = Convolution(
        "test", {DType::kF32, {s.out, s.in / options.groups, s.kernel, s.kernel}, weight.data()},
        bias_view, options);
  }
  /// The definition over a prepared input.
  PixelMap naive(const PixelMap& input) const {
    const int64_t padding = options.pad_before + options.pad_after, out = weight.rows();
    const int64_t group_in = input.channels() / options.groups, group_out = out / options.groups;
    PixelMap result((input.height + padding - kernel) / options.stride + 1,
                    (input.width + padding - kernel) / options.stride + 1, out);
    for (int64_t i = 0; i < result.pixels.rows(); ++i)
      for (int64_t o = 0; o < out; ++o) {
        double sum = bias(0, o);
        for (int64_t c = 0; c < group_in; ++c)
          for (int64_t dy = 0; dy < kernel; ++dy)
            for (int64_t dx = 0; dx < kernel; ++dx) {
              const int64_t y = i / result.width * options.stride + dy - options.pad_before;
              const int64_t z = i % result.width * options.stride + dx - options.pad_before;
              if (y < 0 || z < 0 || y >= input.height || z >= input.width) continue;
              sum += double{weight(o, (c * kernel + dy) * kernel + dx)} *
                     input.pixels(y * input.width + z, o / group_out * group_in + c);
            }
        result.pixels(i, o) = static_cast<float>(sum);
      }
    return result;
  }

  Matrix weight, bias;
  ConvolutionOptions options;
  int64_t kernel;
  PixelMap x;
  Convolution convolution;
};

void expect_near(const PixelMap& got, const PixelMap& want) {
  ASSERT_EQ(got.height, want.height);
  ASSERT_EQ(got.width, want.width);
  ASSERT_EQ(got.channels(), want.channels());
  for (int64_t i = 0; i < got.pixels.size(); ++i)
    ASSERT_NEAR(got.pixels.data()[i], want.pixels.data()[i], 2e-5) << i;
}

TEST(Convolution, AgreesWithTheDefinition) {
  const ConvolutionOptions same{.pad_before = 1, .pad_after = 1};
  const std::pair<Shape2, ConvolutionOptions> cases[] = {
      {{3, 8, 3, 7, 9}, same},
      {{16, 16, 3, 12, 5}, same},
      {{5, 7, 1, 4, 6}, {}},
      {{6, 6, 3, 9, 8}, {.stride = 2, .pad_after = 1}},
      {{8, 8, 3, 8, 6}, {.stride = 2, .pad_before = 1, .pad_after = 1}},
      {{24, 24, 3, 6, 7}, {.groups = 24, .pad_before = 1, .pad_after = 1}},
      {{24, 24, 5, 6, 7}, {.groups = 24, .pad_before = 2, .pad_after = 2}},
      {{24, 24, 1, 5, 5}, {.groups = 3}},
      {{3, 3, 3, 1, 1}, same}};
  for (const auto& [shape, options] : cases)
    for (const bool with_bias : {false, true}) {
      const Sample sample(shape, options, with_bias);
      PixelMap out;
      sample.convolution.forward({sample.x}, out);
      expect_near(out, sample.naive(sample.x));
    }
}

TEST(Convolution, PreparesItsInput) {
  for (const int64_t upsample : {1, 2}) {
    const Sample sample({6, 4, 3, 9, 5}, {.pad_before = 1, .pad_after = 1}, true);
    const ChannelAffine affine{{1, 2, 3, -1, 0.5f, 0}, {0, 1, -1, 0.5f, 2, 1}};
    PixelMap prepared(sample.x.height * upsample, sample.x.width * upsample, 6);
    for (int64_t i = 0; i < prepared.pixels.rows(); ++i)
      for (int64_t c = 0; c < 6; ++c) {
        const int64_t y = i / prepared.width / upsample, x = i % prepared.width / upsample;
        const float value =
            sample.x.pixels(y * sample.x.width + x, c) * affine.weight[static_cast<size_t>(c)] +
            affine.bias[static_cast<size_t>(c)];
        prepared.pixels(i, c) = value / (1 + std::exp(-value));
      }
    PixelMap out;
    sample.convolution.forward(
        {.map = sample.x, .affine = &affine, .silu = true, .upsample = upsample}, out);
    expect_near(out, sample.naive(prepared));
    PixelMap sum = out;
    sample.convolution.forward(
        {.map = sample.x, .affine = &affine, .silu = true, .upsample = upsample}, sum, true);
    for (int64_t i = 0; i < out.pixels.size(); ++i)
      ASSERT_NEAR(sum.pixels.data()[i], 2 * out.pixels.data()[i], 2e-5);
  }
}

TEST(Convolution, StripsMakeNoDifference) {
  // Wide enough that a strip holds only a few of the rows.
  const Sample sample({64, 4, 3, 40, 2048}, {.pad_before = 1, .pad_after = 1}, true);
  const ChannelAffine identity{std::vector<float>(64, 1.0f), std::vector<float>(64, 0.0f)};
  PixelMap whole, strips;
  sample.convolution.forward({sample.x}, whole);
  sample.convolution.forward({.map = sample.x, .affine = &identity}, strips);
  expect_near(strips, whole);
}

TEST(Convolution, ReadsNarrowWeights) {
  const Sample sample({4, 4, 3, 5, 5}, {.pad_before = 1, .pad_after = 1}, false);
  std::vector<bf16> narrow;
  Sample widened = sample;
  for (int64_t i = 0; i < sample.weight.size(); ++i) {
    narrow.push_back(f32_to_bf16(sample.weight.data()[i]));
    widened.weight.data()[i] = bf16_to_f32(narrow.back());
  }
  const Convolution convolution("test", {DType::kBF16, {4, 4, 3, 3}, narrow.data()}, std::nullopt,
                                sample.options);
  PixelMap out;
  convolution.forward({sample.x}, out);
  expect_near(out, widened.naive(sample.x));
}

TEST(Convolution, RefusesWhatDoesNotFit) {
  const Sample sample({4, 4, 3, 5, 5}, {}, false);
  PixelMap out, small(2, 2, 4), other(5, 5, 3), wrong(5, 5, 4);
  EXPECT_THROW(sample.convolution.forward({small}, out), std::invalid_argument);
  EXPECT_THROW(sample.convolution.forward({other}, out), std::invalid_argument);
  EXPECT_THROW(sample.convolution.forward({sample.x}, wrong, true), std::invalid_argument);
  const float data[36] = {};
  EXPECT_THROW(Convolution("test", {DType::kF32, {4, 9}, data}, std::nullopt, {}),
               std::invalid_argument);
  EXPECT_THROW(Convolution("test", {DType::kF32, {3, 4, 1, 1}, data}, std::nullopt, {.groups = 2}),
               std::invalid_argument);
}

}  // namespace
}  // namespace stamp
