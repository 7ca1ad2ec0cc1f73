// Blocks of GGUF's types against what the package gguf makes of them (tools/make_gguf_fixtures.py).
#include "stamp/core/block_types.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "stamp/io/safetensors.h"

namespace stamp {
namespace {

constexpr DType kTypes[] = {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                            DType::kQ2K,  DType::kQ3K,  DType::kQ4K,  DType::kQ5K,  DType::kQ6K};

const Safetensors& fixture() {
  static const Safetensors file = Safetensors::open(std::filesystem::path(STAMP_SOURCE_DIR) /
                                                    "tests/data/gguf/blocks.safetensors");
  return file;
}

class BlockTypes : public testing::TestWithParam<DType> {
 protected:
  std::string name{dtype_name(GetParam())};
  const TensorView& bytes = fixture().at(name + ".blocks");
  const TensorView& values = fixture().at(name + ".values");
  TensorView blocks{GetParam(), values.shape, bytes.data};
};

TEST_P(BlockTypes, EqualTheReferenceBitForBit) {
  ASSERT_GE(values.size(), 512);
  ASSERT_EQ(bytes.size(), blocks.bytes());
  std::vector<float> got(static_cast<size_t>(values.size()));
  to_f32(blocks, 0, got);
  EXPECT_EQ(std::memcmp(got.data(), values.data, got.size() * sizeof(float)), 0);
}

TEST_P(BlockTypes, AnyPartCanBeRead) {
  for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 1},
                                     {5, 20},
                                     {31, 2},
                                     {200, 300},
                                     {256, 256},
                                     {values.size() - 1, 1},
                                     {values.size(), 0}}) {
    std::vector<float> got(static_cast<size_t>(count));
    to_f32(blocks, first, got);
    const auto same = [](float a, float b) {
      return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
    };
    EXPECT_TRUE(std::equal(got.begin(), got.end(), values.as<float>() + first, same))
        << first << " " << count;
  }
  std::vector<float> beyond(2);
  EXPECT_THROW(to_f32(blocks, values.size() - 1, beyond), std::invalid_argument);
}

TEST_P(BlockTypes, PartsOfABlockAreNoBlocks) {
  float out[kLargestBlock];
  EXPECT_THROW(decode_blocks(GetParam(), bytes.data, 16, out), std::invalid_argument);
  EXPECT_THROW(dtype_from_name(name), std::invalid_argument);  // safetensors files have none
  EXPECT_TRUE(is_weight_type(GetParam()));
  EXPECT_EQ(dtype_bytes(GetParam(), 512), 512 / dtype_block(GetParam()) * dtype_size(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(All, BlockTypes, testing::ValuesIn(kTypes),
                         [](const auto& info) { return std::string(dtype_name(info.param)); });

TEST(BlockCodes, GiveTheValues) {
  for (const DType dtype : kTypes) {
    const std::string name(dtype_name(dtype));
    const TensorView& values = fixture().at(name + ".values");
    const int64_t count = values.size();
    std::vector<int8_t> codes(static_cast<size_t>(count));
    std::vector<f16> scales(static_cast<size_t>(count / 32));
    const auto split = [&] {
      split_blocks(dtype, fixture().at(name + ".blocks").data, count, codes.data(), scales.data());
    };
    if (exact_code_bits(dtype) == 0) {
      EXPECT_THROW(split(), std::invalid_argument) << name;
      continue;
    }
    split();
    for (size_t i = 0; i < codes.size(); ++i) {
      const float value = f16_to_f32(scales[i / 32]) * static_cast<float>(codes[i]);
      ASSERT_EQ(value, values.as<float>()[i]) << name << " " << i;
    }
  }
}

TEST(BlockCodes, OtherTypesHaveNone) {
  float out[4] = {};
  EXPECT_THROW(decode_blocks(DType::kF32, out, 0, out), std::invalid_argument);
  EXPECT_THROW(decode_blocks(DType::kI8, out, 0, out), std::invalid_argument);
  EXPECT_EQ(dtype_block(DType::kBF16), 1);
  EXPECT_FALSE(is_weight_type(DType::kI32));
}

}  // namespace
}  // namespace stamp
