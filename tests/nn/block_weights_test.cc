// Weights in the blocks of GGUF files, in products and linears.
#include <gtest/gtest.h>

#include <cstring>

#include "random_matrix.h"
#include "stamp/io/safetensors.h"
#include "stamp/nn/linear.h"
#include "stamp/nn/matmul.h"

namespace stamp {
namespace {

constexpr DType kTypes[] = {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                            DType::kQ2K,  DType::kQ3K,  DType::kQ4K,  DType::kQ5K,  DType::kQ6K};

bool same_bits(const Matrix& a, const Matrix& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(float)) == 0;
}

TEST(BlockWeights, ProductsAreThoseOfTheirValues) {
  const Safetensors file = Safetensors::open(std::filesystem::path(STAMP_SOURCE_DIR) /
                                             "tests/data/gguf/blocks.safetensors");
  Rng rng(1);
  for (const DType dtype : kTypes) {
    const std::string name(dtype_name(dtype));
    const int64_t rows = file.at(name + ".values").size() / 256;
    const TensorView blocks{dtype, {rows, 256}, file.at(name + ".blocks").data};
    const TensorView values{DType::kF32, {rows, 256}, file.at(name + ".values").data};
    for (const int64_t tokens : {1, 8, 40}) {
      const Matrix x = random_matrix(rng, tokens, 256);
      Matrix got(tokens, rows), want(tokens, rows);
      matmul_transposed(x.view(), blocks, {}, got.view(), true);
      matmul_transposed(x.view(), values, {}, want.view(), false);
      EXPECT_TRUE(same_bits(got, want)) << name << " " << tokens;
    }
  }
}

constexpr int64_t kIn = 64, kOut = 80;

/// Random blocks of Q4_0 or Q8_0 [kOut, kIn], and their values.
struct Blocks {
  Blocks(DType dtype, Rng& rng)
      : bytes(static_cast<size_t>(dtype_bytes(dtype, kOut * kIn))),
        view{dtype, {kOut, kIn}, bytes.data()} {
    for (size_t i = 0; i < bytes.size(); ++i) {
      const size_t place = i % static_cast<size_t>(dtype_size(dtype));
      bytes[i] = static_cast<uint8_t>(place == 1 ? 0x20 + rng.below(8) : rng.below(256));
    }
    values = to_matrix(view);
  }
  Blocks(const Blocks&) = delete;
  std::vector<uint8_t> bytes;
  TensorView view;
  Matrix values;
};

class BlockLinear : public testing::TestWithParam<DType> {
 protected:
  Rng rng{3};
  Blocks blocks{GetParam(), rng};
  Matrix bias = random_matrix(rng, 1, kOut), x = smooth_matrix(rng, 96, kIn);

  Linear linear(const TensorView& weight, const Recipe& recipe,
                Execution execution = Execution::kInteger,
                const Calibration* calibration = nullptr) const {
    const TensorView own_bias{DType::kF32, {kOut}, bias.data()};
    return Linear("site", {{"layers.0.a_proj", weight, own_bias}}, recipe, calibration, 0,
                  execution);
  }
  Matrix run(const Linear& linear) const {
    Matrix out;
    Matrix* const outputs[] = {&out};
    ForwardContext context;
    linear.forward(x.view(), 0, outputs, context);
    return out;
  }
  double error(const Matrix& want, const Matrix& got) const {
    double most = 0, largest = 0;
    for (int64_t i = 0; i < want.size(); ++i) {
      most = std::max(most, std::abs(double{want.data()[i]} - got.data()[i]));
      largest = std::max(largest, std::abs(double{want.data()[i]}));
    }
    return most / largest;
  }
};

TEST_P(BlockLinear, KeepsTheCodes) {
  const Linear codes = linear(blocks.view, {}), plain = linear(view_of(blocks.values), {});
  EXPECT_TRUE(codes.integer());
  EXPECT_FALSE(plain.integer());
  EXPECT_LT(codes.weight_bytes(), plain.weight_bytes());
  EXPECT_LT(error(run(plain), run(codes)), 1e-6);
  const Linear decoded = linear(blocks.view, {}, Execution::kSimulated);
  EXPECT_TRUE(same_bits(run(decoded), run(plain)));
}

TEST_P(BlockLinear, QuantizedInputsMultiplyTheCodes) {
  Recipe recipe;
  recipe.activations.bits = 4;
  recipe.activations.sequence.transform = "haar";
  recipe.activations.plan = {.kind = "two_level", .high_tokens = 16};
  const Linear integer = linear(blocks.view, recipe);
  const Linear simulated = linear(blocks.view, recipe, Execution::kSimulated);
  EXPECT_TRUE(integer.integer());
  EXPECT_TRUE(same_bits(run(integer), run(simulated)));
  EXPECT_LT(error(run(linear(view_of(blocks.values), recipe)), run(integer)), 1e-5);
  recipe.center = "static";
  Calibration calibration;
  calibration["site"].center = true;
  for (int64_t j = 0; j < kIn; ++j)
    calibration["site"].mean.push_back(0.1f * static_cast<float>(j % 7 - 2));
  const Linear centered = linear(blocks.view, recipe, Execution::kInteger, &calibration);
  const Linear values = linear(view_of(blocks.values), recipe, Execution::kInteger, &calibration);
  EXPECT_LT(error(run(values), run(centered)), 1e-5);
}

TEST_P(BlockLinear, OtherRecipesRoundTheValuesAnew) {
  Recipe recipe;
  recipe.feature = "hadamard";
  recipe.weights.bits = 4;
  recipe.activations.bits = 8;
  EXPECT_TRUE(
      same_bits(run(linear(blocks.view, recipe)), run(linear(view_of(blocks.values), recipe))));
  recipe.weights.bits = 16;  // moved by the rotation: no codes to keep
  const Linear rotated = linear(blocks.view, recipe);
  EXPECT_FALSE(rotated.integer());
  EXPECT_TRUE(same_bits(run(rotated), run(linear(view_of(blocks.values), recipe))));
}

INSTANTIATE_TEST_SUITE_P(Types, BlockLinear, testing::Values(DType::kQ4_0, DType::kQ8_0),
                         [](const auto& info) { return std::string(dtype_name(info.param)); });

}  // namespace
}  // namespace stamp
