// GPTQ beside a dense fp64 derivation: inverse of H by elimination, its upper Cholesky factor, one
// column at a time with every later column updated at once.
#include "stamp/quant/gptq.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <numeric>

#include "stamp/core/parallel.h"
#include "stamp/quant/weight_quant.h"
#include "tests/quant/matrices.h"

namespace stamp {
namespace {

using Dense = std::vector<std::vector<double>>;

/// Tokens whose channels are correlated and of unequal energy.
Matrix inputs(int64_t tokens, int64_t channels, uint64_t seed) {
  const Matrix mix = random_matrix(channels, channels, 77);
  Matrix x = product(random_matrix(tokens, channels, seed), mix);
  for (int64_t i = 0; i < tokens; ++i)
    for (int64_t j = 0; j < channels; ++j) x(i, j) *= 0.2f + static_cast<float>(j % 7);
  return x;
}

Hessian hessian_of(const Matrix& x) {
  Hessian hessian(channel_rms(x.view()));
  hessian.add(x.view());
  return hessian;
}

Dense inverse(Dense a) {
  const size_t n = a.size();
  Dense b(n, std::vector<double>(n));
  for (size_t i = 0; i < n; ++i) b[i][i] = 1;
  for (size_t p = 0; p < n; ++p) {  // H is positive definite: no pivoting
    const double pivot = a[p][p];
    for (size_t j = 0; j < n; ++j) a[p][j] /= pivot, b[p][j] /= pivot;
    for (size_t i = 0; i < n; ++i) {
      if (i == p) continue;
      const double f = a[i][p];
      for (size_t j = 0; j < n; ++j) a[i][j] -= f * a[p][j], b[i][j] -= f * b[p][j];
    }
  }
  return b;
}

/// U with A = U^T U.
Dense upper_cholesky(const Dense& a) {
  const size_t n = a.size();
  Dense u(n, std::vector<double>(n));
  for (size_t i = 0; i < n; ++i)
    for (size_t j = i; j < n; ++j) {
      double sum = a[i][j];
      for (size_t k = 0; k < i; ++k) sum -= u[k][i] * u[k][j];
      u[i][j] = i == j ? std::sqrt(sum) : sum / u[i][i];
    }
  return u;
}

/// W^ [out, in], by the textbook.
Matrix reference(const Matrix& weight, const Matrix& x, const WeightSpec& spec) {
  const auto n = static_cast<size_t>(weight.cols());
  Dense h(n, std::vector<double>(n));
  double mean = 0;
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j)
      for (int64_t t = 0; t < x.rows(); ++t)
        h[i][j] += 2.0 / static_cast<double>(x.rows()) * x(t, static_cast<int64_t>(i)) *
                   x(t, static_cast<int64_t>(j));
  std::vector<bool> dead(n);
  for (size_t i = 0; i < n; ++i) {
    dead[i] = h[i][i] == 0;
    if (dead[i]) h[i][i] = 1;
    mean += h[i][i] / static_cast<double>(n);
  }
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  if (spec.act_order)
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return h[a][a] > h[b][b]; });
  Dense permuted(n, std::vector<double>(n));
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j)
      permuted[i][j] = h[order[i]][order[j]] + (i == j ? spec.damping * mean : 0);
  const Dense u = upper_cholesky(inverse(permuted));
  const size_t group = spec.group > 0 ? static_cast<size_t>(spec.group) : n;
  Matrix result(weight.rows(), weight.cols());
  for (int64_t row = 0; row < weight.rows(); ++row) {
    std::vector<double> w(n);
    for (size_t j = 0; j < n; ++j)
      w[j] = dead[order[j]] ? 0 : weight(row, static_cast<int64_t>(order[j]));
    std::vector<Grid> grids;
    for (size_t g = 0; g < n; g += group)
      grids.push_back(weight_grid({weight.row(row) + g, std::min(group, n - g)}, spec));
    for (size_t j = 0; j < n; ++j) {
      Grid& grid = grids[order[j] / group];
      if (spec.group > 0 && !spec.act_order && j % group == 0) {
        const std::vector<float> now(w.begin() + static_cast<int64_t>(j),
                                     w.begin() + static_cast<int64_t>(std::min(n, j + group)));
        grid = weight_grid(now, spec);
      }
      const double q = grid_code(static_cast<float>(w[j]), grid) * double{grid.scale};
      const double e = (w[j] - q) / u[j][j];
      for (size_t k = j; k < n; ++k) w[k] -= e * u[j][k];
      result(row, static_cast<int64_t>(order[j])) = static_cast<float>(q);
    }
  }
  return result;
}

Matrix gptq_values(const Matrix& weight, const Hessian& hessian, const WeightSpec& spec) {
  Matrix values(weight.rows(), weight.cols());
  const StoredWeightBuffer codes = gptq(weight.view(), factor_hessian(hessian, spec), spec);
  dequantize(codes.view, 0, values.view());
  return values;
}

/// Relative squared error of x W^T on inputs that were not seen.
double output_error(const Matrix& x, const Matrix& weight, const Matrix& quantized) {
  double error = 0, energy = 0;
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t o = 0; o < weight.rows(); ++o) {
      double y = 0, z = 0;
      for (int64_t k = 0; k < x.cols(); ++k) {
        y += double{x(t, k)} * weight(o, k);
        z += double{x(t, k)} * quantized(o, k);
      }
      error += (y - z) * (y - z);
      energy += y * y;
    }
  return error / energy;
}

std::vector<WeightSpec> specs() {
  std::vector<WeightSpec> specs;
  for (const int group : {0, 16, 40})
    for (const bool act_order : {false, true})
      for (const bool clip : {false, true})
        specs.push_back({.bits = act_order ? 3 : 4,
                         .group = group,
                         .mse_clip = clip,
                         .quantizer = "gptq",
                         .act_order = act_order});
  return specs;
}

TEST(HessianSum, IsTheGramMatrixOfAllTokens) {
  const Matrix a = inputs(700, 70, 1), b = inputs(3, 70, 2);
  Hessian hessian(channel_rms(b.view()));
  hessian.add(a.view());
  hessian.add(b.view());
  for (int64_t i = 0; i < 70; ++i)
    for (int64_t j = 0; j < 70; ++j) {
      double want = 0, scale = 0;
      for (const Matrix* x : {&a, &b})
        for (int64_t t = 0; t < x->rows(); ++t) {
          want += double{(*x)(t, i)} * (*x)(t, j);
          scale += std::abs(double{(*x)(t, i)} * (*x)(t, j));
        }
      ASSERT_NEAR(hessian.at(i, j), want, 1e-5 * scale);
    }
  EXPECT_THROW(hessian.add(inputs(3, 69, 1).view()), std::invalid_argument);
}

// Several processes add theirs up in some order.
TEST(HessianSum, IsTheSameInAnyOrder) {
  std::vector<Matrix> windows;
  for (uint64_t seed = 1; seed < 8; ++seed) {
    windows.push_back(inputs(600, 70, seed));
    for (int64_t t = 0; t < 600; ++t) {
      windows.back()(t, 4) *= seed > 3 ? 30 : 0;     // silent at first
      windows.back()(t, 9) *= seed % 3 ? 1e-6f : 1;  // too small to be added exactly as it is
    }
    windows.back()(0, 20) = 3e4f;
  }
  const std::vector<float> rms = channel_rms(windows[0].view());
  Hessian one(rms), odd(rms), even(rms);
  for (size_t i = 0; i < windows.size(); ++i) {
    one.add(windows[i].view());
    (i % 2 ? odd : even).add(windows[i].view());
  }
  for (size_t i = 0; i < odd.sums().size(); ++i) odd.sums()[i] += even.sums()[i];
  EXPECT_EQ(std::memcmp(one.sums().data(), odd.sums().data(), one.sums().size_bytes()), 0);
  EXPECT_THROW(Hessian({}), std::invalid_argument);
}

TEST(Gptq, IsTheTextbookAlgorithm) {
  const Matrix weight = random_matrix(24, 150, 3);
  Matrix x = inputs(400, 150, 4);
  for (int64_t t = 0; t < x.rows(); ++t) x(t, 5) = x(t, 97) = 0;  // dead channels
  const Hessian hessian = hessian_of(x);
  for (const WeightSpec& spec : specs()) {
    const Matrix want = reference(weight, x, spec), got = gptq_values(weight, hessian, spec);
    // A value next to the middle of two grid points may round otherwise in fp32; what follows in
    // its row then differs, too.
    int64_t rows = 0;
    for (int64_t i = 0; i < weight.rows(); ++i) {
      bool same = true;
      for (int64_t j = 0; j < weight.cols(); ++j)
        same &= std::abs(want(i, j) - got(i, j)) <= 1e-3f * std::abs(want(i, j)) + 1e-6f;
      rows += same;
    }
    EXPECT_GE(rows, 22) << spec.group << spec.act_order << spec.mse_clip;
    EXPECT_NEAR(output_error(x, weight, got), output_error(x, weight, want),
                0.02 * output_error(x, weight, want));
    EXPECT_EQ(got(3, 5), 0);
  }
}

TEST(Gptq, BeatsRoundingToNearestOnUnseenInputs) {
  const Matrix weight = random_matrix(48, 96, 5);
  const Hessian hessian = hessian_of(inputs(600, 96, 6));
  const Matrix unseen = inputs(300, 96, 7);
  for (const WeightSpec& spec : specs()) {
    Matrix rounded = weight;
    fake_quantize_weight(rounded.view(), spec);
    EXPECT_LT(output_error(unseen, weight, gptq_values(weight, hessian, spec)),
              0.75 * output_error(unseen, weight, rounded))
        << spec.group << spec.act_order << spec.mse_clip;
  }
}

TEST(Gptq, UncorrelatedInputsLeaveRounding) {
  const Matrix weight = random_matrix(8, 40, 8);
  Matrix x = Matrix::zeros(40, 40);
  for (int64_t i = 0; i < 40; ++i) x(i, i) = 2;
  const WeightSpec spec{.bits = 4, .quantizer = "gptq"};
  Matrix rounded = weight;
  fake_quantize_weight(rounded.view(), spec);
  EXPECT_EQ(largest_difference(gptq_values(weight, hessian_of(x), spec), rounded), 0);
}

TEST(Gptq, DoesNotDependOnThreads) {
  const Matrix weight = random_matrix(70, 130, 9), x = inputs(900, 130, 10);
  const WeightSpec spec{.bits = 4, .group = 32, .quantizer = "gptq"};
  const int before = threads();
  set_threads(1);
  const Matrix one = gptq_values(weight, hessian_of(x), spec);
  set_threads(4);
  const Matrix four = gptq_values(weight, hessian_of(x), spec);
  set_threads(before);
  EXPECT_EQ(largest_difference(one, four), 0);
}

TEST(Gptq, DampingGrowsUntilTheFactorExists) {
  const Matrix x = inputs(3, 60, 11);  // rank 3
  const Hessian hessian = hessian_of(x);
  GptqFactor factor;
  double damping = 1e-15;  // hopeless; a little more is within reach of the retries
  for (; factor.damping == 0; damping *= 1.5) {
    try {
      factor = factor_hessian(hessian, {.bits = 4, .quantizer = "gptq", .damping = damping});
    } catch (const std::runtime_error&) {
    }
  }
  EXPECT_GT(damping, 1e-12);
  EXPECT_GT(factor.damping, 2 * damping);
  for (int64_t i = 0; i < 60; ++i) EXPECT_GT(factor.factor(i, i), 0);
  Matrix bad = x;
  bad(1, 2) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(factor_hessian(hessian_of(bad), {.bits = 4}), std::runtime_error);
}

TEST(Gptq, RefusesWhatDoesNotFit) {
  const GptqFactor factor = factor_hessian(hessian_of(inputs(30, 16, 12)), {.bits = 4});
  EXPECT_THROW(gptq(random_matrix(4, 17).view(), factor, {.bits = 4}), std::invalid_argument);
  EXPECT_THROW(gptq(random_matrix(4, 16).view(), factor, {.bits = 4, .symmetric = false}),
               std::invalid_argument);
  EXPECT_THROW(gptq(random_matrix(4, 16).view(), factor, {.bits = 16}), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
