#include "stamp/quant/feature_map.h"

#include <gtest/gtest.h>

#include "tests/quant/matrices.h"

namespace stamp {
namespace {

std::vector<float> positive(int64_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values;
  for (int64_t i = 0; i < n; ++i) values.push_back(static_cast<float>(0.3 + 2 * rng.uniform()));
  return values;
}

/// Close to the identity: invertible.
Matrix factor(int64_t n, uint64_t seed) {
  Matrix matrix = random_matrix(n, n, seed);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) matrix(i, j) = 0.3f * matrix(i, j) + (i == j ? 2.0f : 0.0f);
  return matrix;
}

/// Maps of 48 features: each part alone, then together.
std::vector<FeatureMap> maps() {
  std::vector<FeatureMap> maps(7);
  maps[1].scale = positive(48, 1);
  maps[2].left = factor(6, 2);
  maps[3].right = factor(8, 3);
  maps[4].hadamard = plan_hadamard(48);
  maps[5].hadamard = plan_hadamard(48);
  maps[5].scale = positive(48, 4);
  maps[6] = maps[5];
  maps[6].left = factor(6, 5);
  maps[6].right = factor(8, 6);
  return maps;
}

Matrix transposed(const Matrix& x) {
  Matrix y(x.cols(), x.rows());
  for (int64_t i = 0; i < x.rows(); ++i)
    for (int64_t j = 0; j < x.cols(); ++j) y(j, i) = x(i, j);
  return y;
}

TEST(FeatureMap, ProductsStayWhatTheyWere) {
  const Matrix x = random_matrix(9, 48, 7), weight = random_matrix(11, 48, 8);
  const Matrix want = product(x, transposed(weight));
  for (const FeatureMap& map : maps()) {
    Matrix mapped = x, mapped_weight = weight;
    map_rows(mapped.view(), map);
    map_weight_rows(mapped_weight.view(), map);
    EXPECT_LT(largest_difference(product(mapped, transposed(mapped_weight)), want), 1e-4);
    EXPECT_EQ(largest_difference(mapped, x) > 0.1, map.moves_weights());
  }
}

TEST(FeatureMap, ActsInTheOrderDescribed) {
  FeatureMap map = maps()[6];
  map.mean = positive(48, 9);
  const Matrix x = random_matrix(1, 48, 10);
  Matrix a(6, 8);
  for (int64_t j = 0; j < 48; ++j) a.data()[j] = x(0, j) * map.scale[static_cast<size_t>(j)];
  Matrix want(1, 48);
  const Matrix turned = product(product(transposed(map.left), a), map.right);
  std::copy_n(turned.data(), 48, want.data());
  apply_hadamard(want.view(), *map.hadamard);
  for (int64_t j = 0; j < 48; ++j) want(0, j) -= map.mean[static_cast<size_t>(j)];
  Matrix got = x;
  map_rows(got.view(), map);
  EXPECT_LT(largest_difference(got, want), 1e-4);
}

TEST(FeatureMap, RotatesWeightsInDoublePrecision) {
  FeatureMap map;
  map.hadamard = plan_hadamard(1024);
  const Matrix weight = random_matrix(3, 1024, 11);
  Matrix once = weight;
  map_weight_rows(once.view(), map);
  const Matrix h = hadamard_matrix(1024);
  for (int64_t i = 0; i < 3; ++i)
    for (int64_t j = 0; j < 1024; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < 1024; ++k) sum += double{weight(i, k)} * h(k, j);
      ASSERT_EQ(once(i, j), static_cast<float>(sum / 32));
    }
}

TEST(FeatureMap, WhatDoesNotFitIsAnError) {
  Matrix x = random_matrix(2, 40, 12);
  for (size_t i = 1; i < maps().size(); ++i) {
    const FeatureMap map = maps()[i];
    if (i == 3) continue;  // five blocks of eight
    EXPECT_THROW(map_rows(x.view(), map), std::invalid_argument) << i;
    EXPECT_THROW(map_weight_rows(x.view(), map), std::invalid_argument) << i;
  }
  FeatureMap singular;
  singular.left = Matrix::zeros(5, 5);
  EXPECT_THROW(map_weight_rows(x.view(), singular), std::invalid_argument);
}

/// Every part of x mapped by its part of the map is that part of x mapped.
void expect_parts(const FeatureMap& map, int64_t features, int64_t parts) {
  const Matrix x = random_matrix(3, features);
  Matrix whole = x;
  map_rows(whole.view(), map);
  const int64_t count = features / parts;
  for (int64_t first = 0; first < features; first += count) {
    Matrix own = Matrix::copy_of(x.view().cols_from(first, count));
    map_rows(own.view(), part_of(map, features, first, count));
    for (int64_t i = 0; i < own.rows(); ++i)
      for (int64_t j = 0; j < count; ++j) ASSERT_NEAR(own(i, j), whole(i, first + j), 1e-5);
  }
}

TEST(PartOfFeatureMap, ActsAsTheWhole) {
  FeatureMap map;
  expect_parts(map, 24, 3);
  map.scale = std::vector<float>(24, 2.0f);
  map.scale[20] = 0.5f;
  map.mean = std::vector<float>(24, 0.25f);
  map.mean[3] = 1;
  expect_parts(map, 24, 3);
  map.hadamard = plan_hadamard(8);
  expect_parts(map, 24, 3);
  map.right = random_matrix(4, 4);
  expect_parts(map, 24, 3);
  map.left = Matrix::zeros(6, 6);  // two by two
  for (int64_t i = 0; i < 6; ++i)
    for (int64_t j = 0; j < 2; ++j) map.left(i, i / 2 * 2 + j) = static_cast<float>(1 + i + 2 * j);
  expect_parts(map, 24, 3);
  map.right = {};
  expect_parts(map, 24, 3);
}

TEST(PartOfFeatureMap, RefusesFeaturesThatAreMixedWithOthers) {
  FeatureMap map;
  map.hadamard = plan_hadamard(16);
  EXPECT_THROW(part_of(map, 48, 8, 16), std::invalid_argument);
  EXPECT_THROW(part_of(map, 48, 0, 24), std::invalid_argument);
  EXPECT_NO_THROW(part_of(map, 48, 16, 16));
  FeatureMap learned;
  learned.left = random_matrix(6, 6);
  EXPECT_THROW(part_of(learned, 24, 0, 12), std::invalid_argument);
  learned.left = {};
  learned.right = random_matrix(6, 6);
  EXPECT_THROW(part_of(learned, 24, 0, 8), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
