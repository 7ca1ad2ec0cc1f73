#include "stamp/quant/activation_codes.h"

#include <gtest/gtest.h>

#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"
#include "stamp/quant/bit_plan.h"
#include "stamp/quant/grid_transform.h"
#include "stamp/quant/haar.h"
#include "stamp/quant/weight_quant.h"
#include "tests/core/thread_processes.h"
#include "tests/quant/matrices.h"

namespace stamp {
namespace {

TokenSpec spec_of(const std::string& transform, const std::string& plan, int bits = 4) {
  TokenSpec spec;
  spec.bits = bits;
  spec.sequence.transform = transform;
  spec.plan.kind = plan;
  spec.plan.high_tokens = 8;
  return spec;
}

/// What a recipe may ask for, with and without sinks and blocks.
std::vector<TokenSpec> many_specs() {
  std::vector<TokenSpec> specs;
  for (const char* transform : {"identity", "haar", "dct", "wht"})
    for (const char* plan : {"uniform", "fraction", "waterfill"})
      for (const int variant : {0, 1, 2}) {
        TokenSpec spec = spec_of(transform, plan, variant == 2 ? 3 : 4);
        spec.quantizer.symmetric = variant == 1;
        spec.quantizer.clip = variant == 2 ? 0.9 : 1;
        spec.sequence.skip_tokens = variant;
        spec.sequence.levels = variant == 1 ? 3 : 0;
        spec.sequence.block_tokens = variant == 2 ? 48 : 0;
        spec.plan.min_bits = variant == 2 ? 0 : 2;
        specs.push_back(spec);
      }
  specs.push_back(spec_of("haar", "uniform", 8));
  specs.back().sequence.levels = 9;
  specs.push_back(spec_of("identity", "uniform", 7));
  specs.push_back(spec_of("haar", "uniform", 2));
  return specs;
}

TokenQuantizer quantizer_of(const TokenSpec& spec) {
  std::vector<float> range2;
  if (spec.plan.kind == "waterfill")
    for (int i = 0; i < 64; ++i) range2.push_back(400.0f / static_cast<float>(1 + i * i));
  return {spec, range2};
}

/// 1 to 70, thinned out, and one beyond: whole and ragged runs of every size.
const int64_t kTokens[] = {1,  2,  3,  4,  5,  8,  9,  15, 17, 31, 32,
                           33, 47, 48, 49, 57, 63, 64, 65, 70, 257};

/// The grid values of a code row.
void decode_row(const ActivationCodes& codes, int64_t i, float* out) {
  for (int64_t j = 0; j < codes.cols; ++j) {
    const int64_t block = codes.block == 0 ? 0 : j / codes.block;
    const RowConstants& row = codes.constants[static_cast<size_t>(i * codes.blocks() + block)];
    out[j] = static_cast<float>(codes.row(i)[j] - row.offset) * row.scale;
  }
}

/// L^-1 of the codes, run by run, with the transforms that apply() uses.
Matrix reconstructed(const ActivationCodes& codes) {
  Matrix y(codes.tokens, codes.cols);
  for (const CodeRun& run : codes.runs) {
    if (run.tokens) {
      Matrix patch(run.patch, codes.cols);
      for (int64_t i = 0; i < run.rows; ++i) {
        decode_row(codes, run.first_row + i, patch.row(i % run.patch));
        if ((i + 1) % run.patch != 0) continue;
        haar2d_unlift(patch.view(), run.levels);
        for (int64_t j = 0; j < run.patch; ++j)
          std::copy_n(patch.row(j), codes.cols,
                      y.row(run.first_token + run.tokens[i + 1 - run.patch + j]));
      }
      continue;
    }
    const FloatView rows = y.view().rows_from(run.first_token, run.rows);
    for (int64_t i = 0; i < run.rows; ++i) decode_row(codes, run.first_row + i, rows.row(i));
    if (run.generic)
      run.generic->inverse(rows, 0);
    else
      haar_unlift(rows, run.levels);
  }
  return y;
}

void expect_sound(const ActivationCodes& codes) {
  EXPECT_EQ(codes.stride % 64, 0);
  EXPECT_NE(codes.stride % 4096, 0);
  for (int64_t i = 0; i < codes.rows; ++i) {
    int32_t sum = 0;
    for (int64_t j = 0; j < codes.stride; ++j) {
      const int code = codes.row(i)[j];
      ASSERT_LE(std::abs(code), codes.limits[static_cast<size_t>(i)]);
      if (j >= codes.cols) {
        ASSERT_EQ(code, 0);
      }
      sum += code;
    }
    ASSERT_EQ(sum, codes.constants[static_cast<size_t>(i)].sum);
  }
}

TEST(Encode, CodesAreThoseOfApply) {
  ActivationCodes codes;  // reused: nothing of an earlier call may shine through
  for (const TokenSpec& spec : many_specs()) {
    const TokenQuantizer quantizer = quantizer_of(spec);
    ASSERT_TRUE(quantizer.can_encode());
    for (const int64_t tokens : kTokens)
      for (const int64_t position : {0, 1, 41}) {
        const Matrix x = random_matrix(tokens, 21, static_cast<uint64_t>(tokens), 0.3);
        Matrix expected = x;
        quantizer.apply(expected.view(), position);
        quantizer.encode(x.view(), position, {}, codes);
        ASSERT_EQ(largest_difference(reconstructed(codes), expected), 0)
            << spec.sequence.transform << " " << spec.plan.kind << " " << tokens << " " << position;
        expect_sound(codes);
      }
  }
}

TEST(Encode, ProcessesWithPartsOfTheColumnsEncodeAsOne) {
  constexpr int64_t kPart = 24;
  for (const TokenSpec& spec : many_specs()) {
    const TokenQuantizer quantizer = quantizer_of(spec);
    for (const int64_t tokens : {1, 9, 33, 64}) {
      const Matrix x = random_matrix(tokens, 2 * kPart, 4, 0.3);
      ActivationCodes whole;
      quantizer.encode(x.view(), 0, {}, whole);
      ThreadProcesses::run(2, [&](Communicator& own) {
        ActivationCodes part;
        const int64_t first = own.rank() * kPart;
        quantizer.encode(x.view().cols_from(first, kPart), 0, {}, part, &own);
        ASSERT_EQ(part.rows, whole.rows);
        for (int64_t i = 0; i < part.rows; ++i) {
          const auto row = static_cast<size_t>(i);
          ASSERT_EQ(part.constants[row].scale, whole.constants[row].scale);
          ASSERT_EQ(part.constants[row].offset, whole.constants[row].offset);
          ASSERT_TRUE(std::equal(part.row(i), part.row(i) + kPart, whole.row(i) + first))
              << spec.sequence.transform << " " << tokens << " row " << i;
        }
      });
    }
  }
}

TokenSpec grid_spec(int levels, int64_t width) {
  TokenSpec spec = spec_of("haar2d", "fraction");
  spec.sequence.levels = levels;
  spec.sequence.grid_width = width;
  return spec;
}

TEST(Encode, GridsAreEncodedPatchByPatch) {
  ActivationCodes codes;
  for (const auto& [tokens, width, levels] :
       {std::tuple{64, 8, 1}, {64, 16, 2}, {256, 16, 3}, {240, 20, 2}, {1024, 32, 4}}) {
    TokenSpec spec = grid_spec(levels, width);
    for (const bool low_bits : {false, true}) {
      spec.bits = low_bits ? 2 : 4;
      const TokenQuantizer quantizer(spec);
      const Matrix x = random_matrix(tokens, 21, 3, 0.3);
      Matrix expected = x;
      quantizer.apply(expected.view());
      quantizer.encode(x.view(), 0, {}, codes);
      ASSERT_EQ(codes.runs.size(), 1u);
      EXPECT_EQ(codes.runs[0].patch, int64_t{1} << 2 * levels);
      ASSERT_EQ(largest_difference(reconstructed(codes), expected), 0) << tokens << " " << levels;
      expect_sound(codes);
    }
  }
}

TEST(Encode, TwoLevelKeepsItsHighRows) {
  const TokenQuantizer quantizer(spec_of("haar", "two_level"));
  ActivationCodes codes;
  for (const int64_t tokens : {9, 10, 33, 100, 257}) {
    const Matrix x = random_matrix(tokens, 64);
    Matrix expected = x;
    quantizer.apply(expected.view());
    quantizer.encode(x.view(), 0, {}, codes);
    ASSERT_EQ(largest_difference(reconstructed(codes), expected), 0) << tokens;
    int wide = 0;
    for (const uint8_t limit : codes.limits) wide += limit == 128;
    EXPECT_EQ(wide, 8);
  }
}

TEST(Encode, RotatesAndCentersFirst) {
  TokenSpec spec = spec_of("haar", "fraction");
  spec.sequence.skip_tokens = 1;
  for (const int64_t cols : {8, 96, 256}) {
    const HadamardPlan plan = plan_hadamard(cols);
    const Matrix mean = random_matrix(1, cols, 9);
    for (const char* transform : {"identity", "haar", "dct"})
      for (const bool rotate : {false, true})
        for (const bool center : {false, true}) {
          spec.sequence.transform = transform;
          const TokenQuantizer quantizer(spec);
          const Matrix x = random_matrix(41, cols, 3, 0.5);
          Matrix expected = x;
          if (rotate) apply_hadamard(expected.view(), plan);
          for (int64_t i = 0; center && i < 41; ++i)
            for (int64_t j = 0; j < cols; ++j) expected(i, j) -= mean(0, j);
          quantizer.apply(expected.view());
          FeatureMap input;
          if (rotate) input.hadamard = plan;
          if (center) input.mean.assign(mean.data(), mean.data() + cols);
          ActivationCodes codes;
          quantizer.encode(x.view(), 0, input, codes);
          ASSERT_EQ(largest_difference(reconstructed(codes), expected), 0) << transform << cols;
        }
  }
}

TEST(Encode, WideRowsSplitTheLevelsIntoTiles) {
  TokenSpec spec = spec_of("haar", "fraction");
  spec.sequence.levels = 7;
  const Matrix x = random_matrix(100, 9000);  // 8 rows fill a tile
  Matrix expected = x;
  const TokenQuantizer quantizer(spec);
  quantizer.apply(expected.view());
  ActivationCodes codes;
  quantizer.encode(x.view(), 0, {}, codes);
  EXPECT_EQ(largest_difference(reconstructed(codes), expected), 0);
  expect_sound(codes);
}

TEST(Encode, DoesNotDependOnThreadsOrStrides) {
  const TokenQuantizer quantizer(spec_of("haar", "fraction"));
  const Matrix wide = random_matrix(200, 2100);
  const Matrix x = Matrix::copy_of(wide.view().cols_from(0, 2000));
  ActivationCodes one, two;
  const int before = threads();
  set_threads(1);
  quantizer.encode(x.view(), 0, {}, one);
  set_threads(2);
  quantizer.encode(wide.view().cols_from(0, 2000), 0, {}, two);
  set_threads(before);
  for (int64_t i = 0; i < one.rows; ++i)
    ASSERT_TRUE(std::equal(one.row(i), one.row(i) + one.stride, two.row(i))) << i;
}

TEST(Encode, NothingToEncode) {
  ActivationCodes codes;
  const TokenQuantizer quantizer(spec_of("haar", "fraction"));
  quantizer.encode({nullptr, 0, 16, 16}, 0, {}, codes);
  EXPECT_EQ(codes.rows, 0);
  EXPECT_TRUE(codes.runs.empty());
}

TEST(Encode, ValuesThatAreNotFiniteBecomeCodes) {
  Matrix x = random_matrix(40, 24);
  x(3, 5) = std::numeric_limits<float>::quiet_NaN();
  x(20, 1) = std::numeric_limits<float>::infinity();
  ActivationCodes codes;
  for (const TokenSpec& spec : many_specs()) {
    quantizer_of(spec).encode(x.view(), 0, {}, codes);
    expect_sound(codes);
  }
}

TEST(Encode, BlocksOfColumnsHaveScalesAndSumsOfTheirOwn) {
  for (const int block : {8, 64, 72, 256}) {
    TokenSpec spec = spec_of("haar", "fraction");
    spec.quantizer.block = block;
    const TokenQuantizer quantizer(spec);
    const Matrix x = random_matrix(70, 136);
    ActivationCodes codes;
    quantizer.encode(x.view(), 0, {}, codes);
    Matrix simulated = x;
    quantizer.apply(simulated.view());
    EXPECT_LT(largest_difference(reconstructed(codes), simulated), 1e-5) << block;
    ASSERT_EQ(codes.blocks(), (136 + block - 1) / block);
    for (int64_t i = 0; i < codes.rows; ++i)
      for (int64_t b = 0; b < codes.blocks(); ++b) {
        int32_t sum = 0;
        for (int64_t j = b * block; j < std::min<int64_t>(136, (b + 1) * block); ++j)
          sum += codes.row(i)[j];
        ASSERT_EQ(codes.constants[static_cast<size_t>(i * codes.blocks() + b)].sum, sum);
      }
  }
}

TEST(Encode, RefusesWhatItCannotDo) {
  ActivationCodes codes;
  const Matrix x = random_matrix(4, 64);
  const TokenQuantizer off{TokenSpec{}};
  EXPECT_FALSE(off.can_encode());
  EXPECT_THROW(off.encode(x.view(), 0, {}, codes), std::invalid_argument);
  TokenSpec blocks = spec_of("identity", "uniform");
  blocks.quantizer.block = 60;
  EXPECT_FALSE(TokenQuantizer(blocks).can_encode());
  EXPECT_THROW(TokenQuantizer(blocks).encode(x.view(), 0, {}, codes), std::invalid_argument);
  const TokenQuantizer plain(spec_of("identity", "uniform"));
  const std::vector<float> mean(63);
  EXPECT_THROW(plain.encode(x.view(), 0, {.mean = mean}, codes), std::invalid_argument);
  const HadamardPlan plan = plan_hadamard(128);
  EXPECT_THROW(plain.encode(x.view(), 0, {.hadamard = plan}, codes), std::invalid_argument);
  EXPECT_THROW(plain.encode({nullptr, 1, 65537, 65537}, 0, {}, codes), std::invalid_argument);
}

/// A weight of 4-bit codes: one panel of `columns` outputs.
struct Panel {
  Matrix real;                 // [cols, columns]
  std::vector<uint8_t> bytes;  // [cols / 4][64][4]
  std::vector<float> scale, bias, scaled_sum;
  std::vector<int32_t> sum;
};

Panel random_panel(int64_t cols, int64_t columns) {
  Rng rng(7);
  Panel panel{Matrix(cols, columns), {}, {}, {}, {}, {}};
  panel.bytes.resize(static_cast<size_t>(cols * 64));
  for (int64_t j = 0; j < columns; ++j) {
    panel.scale.push_back(static_cast<float>(0.01 + rng.uniform()));
    panel.bias.push_back(static_cast<float>(rng.normal()));
    panel.sum.push_back(0);
    for (int64_t k = 0; k < cols; ++k) {
      const int code = static_cast<int>(rng.below(16)) - 8;
      panel.bytes[static_cast<size_t>((k / 4 * 64 + j) * 4 + k % 4)] =
          static_cast<uint8_t>(code + 8);
      panel.real(k, j) = panel.scale.back() * static_cast<float>(code);
      panel.sum.back() += code;
    }
    panel.scaled_sum.push_back(panel.scale.back() * static_cast<float>(panel.sum.back()));
  }
  return panel;
}

Matrix expected_outputs(const TokenQuantizer& quantizer, const Matrix& x, const Panel& panel,
                        const Matrix* before) {
  Matrix simulated = x;
  quantizer.apply(simulated.view());
  Matrix y = product(simulated, panel.real);
  for (int64_t i = 0; i < y.rows(); ++i)
    for (int64_t j = 0; j < y.cols(); ++j)
      y(i, j) += panel.bias[static_cast<size_t>(j)] + (before ? (*before)(i, j) : 0);
  return y;
}

void check_products(const TokenSpec& spec, int64_t tokens, int64_t columns, bool add, bool stream,
                    int64_t part_rows) {
  const int64_t cols = 64;
  const TokenQuantizer quantizer = quantizer_of(spec);
  const Matrix x = random_matrix(tokens, cols, 5, 0.2), before = random_matrix(tokens, columns, 6);
  const Panel panel = random_panel(cols, columns);
  ActivationCodes codes;
  quantizer.encode(x.view(), 0, {}, codes);
  std::vector<int32_t> acc(static_cast<size_t>(codes.rows * 64), 0);
  kernels_of(Isa::kScalar)
      .gemm_s8u8(codes.row(0), codes.stride, panel.bytes.data(), acc.data(), 64, codes.rows, cols,
                 codes.limits.data(), 15, 0);
  std::vector<float> real(acc.size(), 0);
  for (size_t i = 0; i < acc.size(); ++i) {
    const size_t row = i / 64, j = i % 64;
    if (static_cast<int64_t>(j) < columns)
      real[i] = codes.constants[row].scale * panel.scale[j] *
                static_cast<float>(acc[i] - 8 * codes.constants[row].sum -
                                   codes.constants[row].offset * panel.sum[j]);
  }
  const Matrix expected = expected_outputs(quantizer, x, panel, add ? &before : nullptr);
  Matrix wide(tokens, columns + 64), wide_scaled(tokens, columns + 64);
  const FloatView y = wide.view().cols_from(64, columns);
  const FloatView scaled = wide_scaled.view().cols_from(0, columns);
  for (int64_t i = 0; i < tokens; ++i) {
    std::copy_n(before.row(i), columns, y.row(i));
    std::copy_n(before.row(i), columns, scaled.row(i));
  }
  const PanelConstants constants{8, panel.scale.data(), panel.sum.data(), panel.bias.data()};
  for (const CodeRun& run : codes.parts(part_rows)) {
    const int64_t at = run.first_row * 64, outputs = run.tokens ? tokens : run.rows;
    decode_panel(codes, run, acc.data() + at, constants, y.rows_from(run.first_token, outputs), add,
                 stream);
    decode_panel(run, real.data() + at, panel.bias.data(),
                 scaled.rows_from(run.first_token, outputs), add);
  }
  double largest = 1;
  for (int64_t i = 0; i < expected.size(); ++i)
    largest = std::max(largest, std::abs(double{expected.data()[i]}));
  const std::string what = spec.sequence.transform + " " + std::to_string(tokens);
  ASSERT_LT(largest_difference(Matrix::copy_of(y), expected), 1e-5 * largest) << what;
  ASSERT_LT(largest_difference(Matrix::copy_of(scaled), expected), 1e-5 * largest) << what;
}

TEST(DecodePanel, ProductsAreThoseOfTheSimulation) {
  for (const TokenSpec& spec : many_specs())
    for (const int64_t tokens : {1, 2, 8, 31, 70, 130})
      for (const int64_t columns : {64, 40}) {
        const bool add = (tokens + columns) % 2 == 1;
        check_products(spec, tokens, columns, add, columns == 64, columns);
      }
}

TEST(DecodePanel, GridsInPatchesAndOthers) {
  for (const int levels : {0, 1, 2, 3, 4, 6})
    for (const bool add : {false, true}) {
      check_products(grid_spec(levels, 32), 1024, 64, add, !add, 192);
      check_products(grid_spec(levels, 8), 192, 40, add, false, 8);
      check_products(grid_spec(levels, 7), 77, 64, add, false, 48);
    }
}

TEST(DecodePanel, EveryNumberOfLevels) {
  for (const int levels : {1, 2, 3, 4, 5, 7, 10})
    for (const bool add : {false, true}) {
      TokenSpec spec = spec_of("haar", "uniform");
      spec.sequence.levels = levels;
      spec.sequence.skip_tokens = add;
      check_products(spec, 1024, 64, add, !add, 192);
      check_products(spec, 200, 64, add, add, 8);
    }
}

TEST(DecodePanel, PartsCoverEveryRowAndEndWithWholeHaarRuns) {
  TokenSpec spec = spec_of("haar", "uniform");
  spec.sequence.levels = 3;
  spec.sequence.skip_tokens = 2;
  ActivationCodes codes;
  TokenQuantizer(spec).encode(random_matrix(201, 64).view(), 0, {}, codes);
  for (const int64_t rows : {1, 8, 50, 192, 1000}) {
    int64_t next = 0;
    for (const CodeRun& part : codes.parts(rows)) {
      EXPECT_EQ(part.first_row, next);
      next += part.rows;
      EXPECT_EQ(part.replaced, part.first_row == 0 ? 2 : 0);
      EXPECT_TRUE(part.rows % 8 == 0 || part.levels == 0 || next == codes.tokens);
      EXPECT_LE(part.rows, std::max<int64_t>(rows, 8));
    }
    EXPECT_EQ(next, codes.rows);
  }
}

TEST(DecodePanel, RefusesWrongShapes) {
  const TokenQuantizer quantizer(spec_of("haar", "fraction"));
  ActivationCodes codes;
  quantizer.encode(random_matrix(4, 64).view(), 0, {}, codes);
  const std::vector<int32_t> acc(4 * 64), sums(64);
  const std::vector<float> scale(64);
  Matrix y(5, 80);
  const PanelConstants constants{8, scale.data(), sums.data()};
  const CodeRun& run = codes.runs[0];
  EXPECT_THROW(decode_panel(codes, run, acc.data(), constants, y.view().cols_from(0, 64)),
               std::invalid_argument);
  EXPECT_THROW(decode_panel(codes, run, acc.data(), constants, y.view().rows_from(0, 4)),
               std::invalid_argument);
}

}  // namespace
}  // namespace stamp
