// Hadamard matrices of orders that are no powers of two: Paley I, Paley II, Williamson
// (METHODS 5.3).
#include <algorithm>
#include <bit>
#include <vector>

#include "stamp/core/error.h"
#include "stamp/quant/feature_transform.h"

namespace stamp {
namespace {

constexpr int64_t kLargestOdd = 4096;
constexpr int64_t kLargestMatrix = 16384;
constexpr int64_t kWilliamsonOrder = 172;

struct PrimePower {
  int64_t prime = 0, exponent = 0;  // 0: the number is no prime power
};

PrimePower prime_power(int64_t q) {
  if (q < 2) return {};
  int64_t prime = 2;
  while (prime * prime <= q && q % prime != 0) ++prime;
  if (q % prime != 0) prime = q;
  int64_t exponent = 0;
  for (; q % prime == 0; q /= prime) ++exponent;
  return q == 1 ? PrimePower{prime, exponent} : PrimePower{};
}

bool is_prime_power(int64_t q) { return prime_power(q).prime != 0; }
bool is_paley1(int64_t order) { return order % 4 == 0 && is_prime_power(order - 1); }
bool is_paley2(int64_t order) {
  return order % 4 == 0 && order / 2 % 4 == 2 && is_prime_power(order / 2 - 1);
}
bool is_base_order(int64_t order) {
  return order == 1 || is_paley1(order) || is_paley2(order) || order == kWilliamsonOrder;
}

/// A finite field with q = p^e elements, written as base-p numbers whose digits are polynomial
/// coefficients.
class FiniteField {
 public:
  explicit FiniteField(int64_t q)
      : q_(q), field_(prime_power(q)), character_(static_cast<size_t>(q)) {
    // With a primitive modulus the powers of x are all nonzero elements, even powers the squares.
    for (int64_t modulus = 1; !powers_cover_field(modulus); ++modulus) {
    }
  }
  /// 1 for squares, -1 for other nonzero elements, 0 for zero.
  int character(int64_t element) const { return character_[static_cast<size_t>(element)]; }

  int64_t subtract(int64_t a, int64_t b) const {
    int64_t difference = 0;
    for (int64_t place = 1; place < q_; place *= field_.prime) {
      const int64_t digit = (a / place - b / place) % field_.prime;
      difference += (digit + field_.prime) % field_.prime * place;
    }
    return difference;
  }

 private:
  /// x * element modulo x^e - modulus(x).
  int64_t times_x(int64_t element, int64_t modulus) const {
    const int64_t p = field_.prime, top = element / (q_ / p);
    int64_t shifted = element % (q_ / p) * p, product = 0;
    for (int64_t place = 1; place < q_; place *= p) {
      product += (shifted / place + top * (modulus / place % p)) % p * place;
    }
    return product;
  }

  bool powers_cover_field(int64_t modulus) {
    std::fill(character_.begin(), character_.end(), 0);
    int64_t element = 1;
    for (int64_t power = 0; power < q_ - 1; ++power) {
      if (element == 0 || character(element) != 0) return false;
      character_[static_cast<size_t>(element)] = power % 2 == 0 ? 1 : -1;
      element = times_x(element, modulus);
    }
    return true;
  }

  int64_t q_;
  PrimePower field_;
  std::vector<int> character_;
};

/// Jacobsthal matrix chi(i - j) bordered by ones: row 0 is (0, 1, ..., 1), column 0 is (0, side,
/// ..., side).
Matrix bordered_jacobsthal(int64_t q, float side) {
  const FiniteField field(q);
  Matrix s(q + 1, q + 1);
  for (int64_t i = 0; i <= q; ++i) {
    for (int64_t j = 0; j <= q; ++j) {
      if (i == 0 || j == 0) {
        s(i, j) = i == j ? 0.0f : (i == 0 ? 1.0f : side);
      } else {
        s(i, j) = static_cast<float>(field.character(field.subtract(i - 1, j - 1)));
      }
    }
  }
  return s;
}

/// H = I + S.
Matrix paley1(int64_t order) {
  Matrix h = bordered_jacobsthal(order - 1, -1);
  for (int64_t i = 0; i < order; ++i) h(i, i) += 1;
  return h;
}

/// H = S (x) [[1, 1], [1, -1]] + I (x) [[1, -1], [-1, -1]].
Matrix paley2(int64_t order) {
  const Matrix s = bordered_jacobsthal(order / 2 - 1, 1);
  Matrix h(order, order);
  for (int64_t i = 0; i < order; ++i) {
    for (int64_t j = 0; j < order; ++j) {
      const bool diagonal = i / 2 == j / 2;
      const bool minus = diagonal ? (i % 2 == 1 || j % 2 == 1) : (i % 2 == 1 && j % 2 == 1);
      h(i, j) = (minus ? -1.0f : 1.0f) * (diagonal ? 1.0f : s(i / 2, j / 2));
    }
  }
  return h;
}

/// First row of a symmetric circulant of order 43, constant on the cosets r * {+-1, +-6, +-7}; -1
/// on those of `minus`.
std::vector<float> williamson_row(std::initializer_list<int64_t> minus) {
  constexpr int64_t kOrder = 43;
  std::vector<float> row(kOrder, 1.0f);
  for (const int64_t r : minus) {
    for (const int64_t unit : {1, 6, 7}) {
      const int64_t index = r * unit % kOrder;
      row[static_cast<size_t>(index)] = row[static_cast<size_t>(kOrder - index)] = -1.0f;
    }
  }
  return row;
}

/// [[A, B, C, D], [-B, A, -D, C], [-C, D, A, -B], [-D, -C, B, A]].
Matrix williamson172() {
  const std::vector<float> rows[] = {williamson_row({5, 9, 10}), williamson_row({3, 4, 5, 9}),
                                     williamson_row({2, 4, 9}), williamson_row({1, 4, 5})};
  constexpr int kBlock[4][4] = {{0, 1, 2, 3}, {1, 0, 3, 2}, {2, 3, 0, 1}, {3, 2, 1, 0}};
  constexpr int kSign[4][4] = {{1, 1, 1, 1}, {-1, 1, -1, 1}, {-1, 1, 1, -1}, {-1, -1, 1, 1}};
  Matrix h(kWilliamsonOrder, kWilliamsonOrder);
  const int64_t size = kWilliamsonOrder / 4;
  for (int64_t i = 0; i < kWilliamsonOrder; ++i) {
    for (int64_t j = 0; j < kWilliamsonOrder; ++j) {
      const int64_t bi = i / size, bj = j / size;
      const auto shift = static_cast<size_t>((j % size - i % size + size) % size);
      h(i, j) = static_cast<float>(kSign[bi][bj]) * rows[kBlock[bi][bj]][shift];
    }
  }
  return h;
}

Matrix base_matrix(int64_t order) {
  if (order == 1) {
    Matrix one(1, 1);
    one(0, 0) = 1;
    return one;
  }
  if (is_paley1(order)) return paley1(order);
  if (is_paley2(order)) return paley2(order);
  return williamson172();
}

}  // namespace

int64_t hadamard_odd_part(int64_t order) {
  if (order < 1) return 0;
  int64_t k = order >> std::countr_zero(static_cast<uint64_t>(order));
  for (; k <= std::min(order, kLargestOdd); k *= 2) {
    if (is_base_order(k)) return k;
  }
  return 0;
}

bool has_hadamard(int64_t order) { return hadamard_odd_part(order) != 0; }

Matrix hadamard_matrix(int64_t order) {
  const int64_t k = hadamard_odd_part(order);
  if (k == 0) throw_argument("hadamard: no matrix of order {} is known here", order);
  if (order > kLargestMatrix) {
    throw_argument("hadamard: expected an order up to {}, got {}", kLargestMatrix, order);
  }
  const Matrix base = base_matrix(k);
  const int64_t power = order / k;
  Matrix h(order, order);
  for (int64_t i = 0; i < order; ++i) {
    for (int64_t j = 0; j < order; ++j) {
      const auto common = static_cast<uint64_t>((i % power) & (j % power));
      h(i, j) = (std::popcount(common) % 2 == 0 ? 1.0f : -1.0f) * base(i / power, j / power);
    }
  }
  return h;
}

}  // namespace stamp
