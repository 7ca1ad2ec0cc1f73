#include "stamp/quant/sequence_transform.h"

#include <gtest/gtest.h>

#include "tests/quant/matrices.h"
#include "tests/quant/transform_params.h"

namespace stamp {
namespace {

std::vector<int64_t> lengths() {
  std::vector<int64_t> result;
  for (int64_t n = 1; n <= 257; ++n) result.push_back(n);
  for (const int64_t n : {511, 999, 1000, 1023, 1024, 1537, 4093}) result.push_back(n);
  return result;
}

Matrix transformed(const SequenceTransform& transform, const Matrix& x, int levels) {
  Matrix y = x;
  transform.forward(y.view(), any_params(levels));
  return y;
}

TEST(SequenceTransform, InvertsAndPreservesTheNormAtEveryLength) {
  for (const SequenceTransform& transform : sequence_transforms()) {
    for (const int64_t n : lengths()) {
      const int levels = static_cast<int>(n % 13);
      const Matrix x = random_matrix(n, 3, static_cast<uint64_t>(n), 0.5);
      Matrix y = transformed(transform, x, levels);
      if (transform.orthonormal)
        EXPECT_NEAR(squared_norm(y.view()) / squared_norm(x.view()), 1, 1e-5)
            << transform.name << n;
      transform.inverse(y.view(), any_params(levels));
      EXPECT_LT(largest_difference(x, y), 2e-5) << transform.name << n;
    }
  }
}

TEST(SequenceTransform, CommutesWithALinearLayer) {
  const Matrix weight = random_matrix(24, 40, 7);
  for (const SequenceTransform& transform : sequence_transforms()) {
    for (const int64_t n : {6, 31, 64, 77}) {
      const Matrix x = random_matrix(n, 24);
      const Matrix after = transformed(transform, product(x, weight), 4);
      const Matrix before = product(transformed(transform, x, 4), weight);
      EXPECT_LT(largest_difference(before, after), 5e-5) << transform.name << n;
    }
  }
}

TEST(SequenceTransform, IgnoresWhatLiesBetweenRowsOfAView) {
  for (const SequenceTransform& transform : sequence_transforms()) {
    const Matrix x = random_matrix(50, 200);
    Matrix whole = transformed(transform, x, 3), part = x;
    transform.forward(part.view().cols_from(37, 101), any_params(3));
    for (int64_t i = 0; i < 50; ++i) {
      for (int64_t j = 0; j < 200; ++j) {
        const bool inside = j >= 37 && j < 138;
        ASSERT_NEAR(part(i, j), inside ? whole(i, j) : x(i, j), inside ? 1e-6 : 0)
            << transform.name;
      }
    }
  }
}

TEST(SequenceTransform, BandsCoverTheRowsInOrder) {
  for (const SequenceTransform& transform : sequence_transforms()) {
    for (const int64_t n : {1, 2, 7, 64, 100, 257}) {
      for (const int levels : {0, 1, 5, 20}) {
        int64_t next = 0;
        for (const Band& band : transform.bands(n, levels)) {
          EXPECT_EQ(band.first, next);
          EXPECT_GE(band.count, 1);
          next += band.count;
        }
        EXPECT_EQ(next, n) << transform.name;
      }
    }
  }
}

/// Noise on the rows that saw a token comes back only in the token's own run.
TEST(SequenceTransform, RunLengthBoundsTheMixing) {
  for (const SequenceTransform& transform : sequence_transforms()) {
    const int64_t n = 64, run = transform.run_length(n, any_params(3));
    for (const int64_t token : {0, 9, 63}) {
      Matrix x = Matrix::zeros(n, 1);
      x(token, 0) = 1;
      transform.forward(x.view(), any_params(3));
      for (int64_t i = 0; i < n; ++i) {
        if (x(i, 0) != 0) x(i, 0) = 1;  // noise on every row that saw the token
      }
      transform.inverse(x.view(), any_params(3));
      for (int64_t i = 0; i < n; ++i) {
        if (i / run != token / run) {
          EXPECT_NEAR(x(i, 0), 0, 1e-6) << transform.name << token << " " << i;
        }
      }
    }
  }
}

TEST(SequenceTransform, UnknownNamesListTheKnown) {
  EXPECT_EQ(sequence_transform("haar").name, "haar");
  try {
    sequence_transform("fourier");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("identity, haar, haar2d, dct"), std::string::npos);
  }
}

/// A unit error in one row of L X, brought back.
TEST(SequenceTransform, ColumnEnergiesAreWhatAnErrorCosts) {
  for (const SequenceTransform& transform : sequence_transforms()) {
    for (const int64_t n : {3, 65, 100}) {
      const std::vector<double> energies = inverse_column_energies(transform, n, any_params(3));
      ASSERT_EQ(static_cast<int64_t>(energies.size()), n);
      for (const int64_t i : {int64_t{0}, n / 2, n - 1}) {
        Matrix unit = Matrix::zeros(n, 1);
        unit(i, 0) = 1;
        transform.inverse(unit.view(), any_params(3));
        EXPECT_NEAR(energies[static_cast<size_t>(i)], squared_norm(unit.view()), 1e-5)
            << transform.name << n << " " << i;
      }
    }
  }
  const std::vector<double> cdf = inverse_column_energies(sequence_transform("cdf53"), 64, 3);
  EXPECT_GT(*std::max_element(cdf.begin(), cdf.end()), 1.2);
}

TEST(AutoLevels, FollowsTheFirstBand) {
  EXPECT_EQ(auto_levels(sequence_transform("db4"), 1024, 64), 4);
  EXPECT_EQ(auto_levels(sequence_transform("haar2d"), 1024, 64), 2);      // 32 x 32 -> 8 x 8
  EXPECT_EQ(auto_levels(sequence_transform("haar2d"), 1024, 4, 256), 6);  // 4 x 256 -> 1 x 4
  EXPECT_EQ(auto_levels(sequence_transform("dct"), 1024, 64), 0);
}

int auto_levels(int64_t tokens, int64_t high_tokens) {
  return auto_levels(sequence_transform("haar"), tokens, high_tokens);
}

TEST(AutoLevels, KeepsAtLeastTheHighRows) {
  EXPECT_EQ(auto_levels(1024, 64), 4);
  EXPECT_EQ(auto_levels(2048, 64), 5);
  EXPECT_EQ(auto_levels(64, 2), 5);
  EXPECT_EQ(auto_levels(100, 64), 0);
  EXPECT_EQ(auto_levels(127, 64), 1);  // ceil(127 / 2) = 64
  EXPECT_EQ(auto_levels(1, 1), 0);
  EXPECT_EQ(auto_levels(2, 1), 1);
  EXPECT_EQ(auto_levels(5, 1), 3);  // capped at ceil(log2 5)
}

}  // namespace
}  // namespace stamp
