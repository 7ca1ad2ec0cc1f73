#include "stamp/quant/feature_map.h"

#include <Eigen/LU>
#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

constexpr int64_t kElementsPerTask = 1 << 14;
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Sides {
  int64_t left = 1, right = 1;  // sizes of the Kronecker factors
};

Sides sides_of(const FeatureMap& map, int64_t cols) {
  Sides sides{map.left.rows(), map.right.rows()};
  if (sides.left == 0) sides.left = sides.right == 0 ? 1 : cols / sides.right;
  if (sides.right == 0) sides.right = cols / sides.left;
  return sides;
}

void check_fits(const FeatureMap& map, int64_t cols) {
  const auto wants = [&](const char* part, const std::vector<float>& values) {
    if (!values.empty() && static_cast<int64_t>(values.size()) != cols)
      throw_argument("feature map: expected {} {}s, got {}", cols, part, values.size());
  };
  wants("scale", map.scale);
  wants("mean", map.mean);
  const Sides sides = sides_of(map, cols);
  if (map.left.rows() != map.left.cols() || map.right.rows() != map.right.cols() ||
      sides.left * sides.right != cols)
    throw_argument("feature map: factors [{}, {}] and [{}, {}] do not fit {} features",
                   map.left.rows(), map.left.cols(), map.right.rows(), map.right.cols(), cols);
}

RowMajor as_double(const Matrix& matrix) {
  RowMajor result(matrix.rows(), matrix.cols());
  std::copy_n(matrix.data(), matrix.size(), result.data());
  return result;
}

RowMajor inverse_of(const Matrix& matrix) {
  const Eigen::FullPivLU<RowMajor> lu(as_double(matrix));
  if (!lu.isInvertible())
    throw_argument("feature map: a factor of {} features is not invertible", matrix.rows());
  return lu.inverse();
}

/// One row in fp64.
class WeightMap {
 public:
  enum class Kind { kDirect, kInverseTransposed };  // w T, w T^-T
  WeightMap(const FeatureMap& map, int64_t cols, Kind kind)
      : map_(map), kind_(kind), sides_(sides_of(map, cols)) {
    check_fits(map, cols);
    const bool direct = kind == Kind::kDirect;
    if (map.left.size() > 0)
      left_ = direct ? RowMajor(as_double(map.left).transpose()) : inverse_of(map.left);
    if (map.right.size() > 0)
      right_ = direct ? as_double(map.right) : RowMajor(inverse_of(map.right).transpose());
    if (map.hadamard) {
      RowRotation(*map.hadamard, cols);  // checks the plan
      factor_ = as_double(hadamard_matrix(map.hadamard->odd)).transpose();
      if (map.hadamard->inverse) factor_.transposeInPlace();
    }
  }

  void apply(std::span<double> row) const {
    for (size_t j = 0; j < map_.scale.size(); ++j)
      row[j] = kind_ == Kind::kDirect ? row[j] * map_.scale[j] : row[j] / map_.scale[j];
    Eigen::Map<RowMajor> matrix(row.data(), sides_.left, sides_.right);
    if (left_.size() > 0) matrix = (left_ * matrix).eval();
    if (right_.size() > 0) matrix = (matrix * right_).eval();
    if (map_.hadamard) rotate(row);
  }

 private:
  /// The rotation of RowRotation.
  void rotate(std::span<double> row) const {
    const auto order = static_cast<size_t>(map_.hadamard->order);
    const size_t odd = static_cast<size_t>(map_.hadamard->odd), width = order / odd;
    const double scale = 1 / std::sqrt(static_cast<double>(order));
    for (size_t first = 0; first < row.size(); first += order) {
      double* part = row.data() + first;
      for (size_t step = 1; step < width; step *= 2)
        for (size_t i = 0; i < order; i += 2 * step)
          for (size_t j = i; j < i + step; ++j) {
            const double a = part[j], b = part[j + step];
            part[j] = a + b;
            part[j + step] = a - b;
          }
      Eigen::Map<RowMajor> matrix(part, static_cast<int64_t>(odd), static_cast<int64_t>(width));
      if (odd > 1)
        matrix = (factor_ * matrix * scale).eval();
      else
        matrix *= scale;
    }
  }

  const FeatureMap& map_;
  Kind kind_;
  Sides sides_;
  RowMajor left_, right_, factor_;
};

}  // namespace

RowMap::RowMap(const FeatureMap& map, int64_t cols) : map_(map), cols_(cols) {
  check_fits(map, cols);
  if (map.left.size() > 0) {
    const int64_t n = map.left.rows();
    left_transposed_ = Matrix(n, n);
    kernels().transpose_f32(map.left.data(), n, left_transposed_.data(), n, n, n);
  }
  if (map.left.size() > 0 || map.right.size() > 0) scratch_size_ = cols;
  if (!map.hadamard) return;
  rotation_.emplace(*map.hadamard, cols);
  scratch_size_ = std::max(scratch_size_, rotation_->scratch_size());
}

void RowMap::apply(const float* in, float* out, float* scratch) const {
  const auto pass_on = [&] { in = out; };
  if (!map_.scale.empty()) {
    const float* scale = map_.scale.data();
#pragma omp simd
    for (int64_t j = 0; j < cols_; ++j) out[j] = in[j] * scale[j];
    pass_on();
  }
  const Sides sides = sides_of(map_, cols_);
  const int64_t a = sides.left, b = sides.right;
  if (map_.left.size() > 0) {
    std::copy_n(in, cols_, scratch);
    kernels().gemm_f32(left_transposed_.data(), a, scratch, b, out, b, a, b, a, 0);
    pass_on();
  }
  if (map_.right.size() > 0) {
    std::copy_n(in, cols_, scratch);
    kernels().gemm_f32(scratch, b, map_.right.data(), b, out, b, a, b, b, 0);
    pass_on();
  }
  if (rotation_) {
    rotation_->apply(in, out, scratch);
    pass_on();
  }
  if (in != out) std::copy_n(in, cols_, out);
  const float* mean = map_.mean.data();
  if (map_.mean.empty()) return;
#pragma omp simd
  for (int64_t j = 0; j < cols_; ++j) out[j] -= mean[j];
}

FeatureMap part_of(const FeatureMap& map, int64_t features, int64_t first, int64_t count) {
  check_fits(map, features);
  FeatureMap part = map;
  for (std::vector<float>* values : {&part.scale, &part.mean})
    if (!values->empty()) *values = {values->begin() + first, values->begin() + first + count};
  const auto divides = [&](int64_t block) { return first % block == 0 && count % block == 0; };
  const bool factors = map.left.size() > 0 || map.right.size() > 0;
  const int64_t right = factors ? sides_of(map, features).right : 1;
  bool apart = divides(right) && (!map.hadamard || divides(map.hadamard->order));
  if (apart && map.left.size() > 0) {
    const int64_t begin = first / right, rows = count / right;
    part.left = Matrix(rows, rows);
    const auto is_own = [&](int64_t i) { return i >= begin && i < begin + rows; };
    for (int64_t i = 0; i < map.left.rows(); ++i)
      for (int64_t j = 0; j < map.left.cols(); ++j) {
        if (is_own(i) && is_own(j)) part.left(i - begin, j - begin) = map.left(i, j);
        apart = apart && (is_own(i) == is_own(j) || map.left(i, j) == 0);
      }
  }
  if (!apart)
    throw_argument("feature map: features {} to {} are mixed with others", first, first + count);
  return part;
}

Matrix inverse_transposed(const Matrix& matrix) {
  const RowMajor inverse = inverse_of(matrix).transpose();
  Matrix result(matrix.rows(), matrix.cols());
  std::transform(inverse.data(), inverse.data() + result.size(), result.data(),
                 [](double value) { return static_cast<float>(value); });
  return result;
}

void map_rows(FloatView x, const FeatureMap& map) {
  if (map.empty()) return;
  const RowMap row_map(map, x.cols);
  const int64_t grain = std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, x.cols));
  parallel_ranges(x.rows, grain, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(row_map.scratch_size()));
    for (int64_t row = begin; row < end; ++row)
      row_map.apply(x.row(row), x.row(row), scratch.data());
  });
}

void map_weight_rows(FloatView weight, const FeatureMap& map) {
  if (map.empty()) return;
  const WeightMap weight_map(map, weight.cols, WeightMap::Kind::kInverseTransposed);
  parallel_ranges(weight.rows, 1, [&](int64_t begin, int64_t end) {
    std::vector<double> row(static_cast<size_t>(weight.cols));
    for (int64_t i = begin; i < end; ++i) {
      std::copy_n(weight.row(i), weight.cols, row.begin());
      weight_map.apply(row);
      std::transform(row.begin(), row.end(), weight.row(i),
                     [](double value) { return static_cast<float>(value); });
    }
  });
}

void map_weight_columns(FloatView weight, const FeatureMap& map) {
  if (map.empty()) return;
  const WeightMap weight_map(map, weight.rows, WeightMap::Kind::kDirect);
  parallel_ranges(weight.cols, 1, [&](int64_t begin, int64_t end) {
    std::vector<double> column(static_cast<size_t>(weight.rows));
    for (int64_t j = begin; j < end; ++j) {
      for (int64_t i = 0; i < weight.rows; ++i) column[static_cast<size_t>(i)] = weight(i, j);
      weight_map.apply(column);
      for (int64_t i = 0; i < weight.rows; ++i)
        weight(i, j) = static_cast<float>(column[static_cast<size_t>(i)]);
    }
  });
}

}  // namespace stamp
