#pragma once
// Views do not own, Tensor and Matrix do. Everything is row-major with PyTorch's dimension order.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "stamp/core/dtype.h"

namespace stamp {

using Shape = std::vector<int64_t>;

/// "[2, 3]".
std::string to_string(const Shape& shape);
/// Product of the sizes; throws std::invalid_argument when one is negative or it overflows.
int64_t element_count(const Shape& shape);

/// Read-only view of contiguous data of any element type (a tensor of a mapped file, say).
struct TensorView {
  DType dtype = DType::kF32;
  Shape shape;
  const void* data = nullptr;

  int64_t size() const { return element_count(shape); }
  int64_t bytes() const { return dtype_bytes(dtype, size()); }
  template <class T>
  const T* as() const {
    return static_cast<const T*>(data);
  }
};

/// Rows [first, first + count) of a tensor of one or two dimensions, as a view of the same memory.
TensorView rows_of(const TensorView& tensor, int64_t first, int64_t count);

/// Two-dimensional typed view; `stride` is the distance of two rows in elements.
template <class T>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  T* row(int64_t i) const { return data + i * stride; }
  std::span<T> row_span(int64_t i) const { return {row(i), static_cast<size_t>(cols)}; }
  T& operator()(int64_t i, int64_t j) const { return data[i * stride + j]; }
  /// Rows [first, first + count).
  MatrixView rows_from(int64_t first, int64_t count) const {
    return {data + first * stride, count, cols, stride};
  }
  /// Columns [first, first + count).
  MatrixView cols_from(int64_t first, int64_t count) const {
    return {data + first, rows, count, stride};
  }
  operator MatrixView<const T>() const { return {data, rows, cols, stride}; }
};
using FloatView = MatrixView<float>;
using ConstFloatView = MatrixView<const float>;

/// 64-byte aligned memory, not initialised; large buffers ask for huge pages.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(int64_t bytes);
  void* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(void* p) const;
  };
  std::unique_ptr<void, Free> data_;
};

/// Owner of an fp32 matrix [rows, cols], contiguous, 64-byte aligned, not initialised.
class Matrix {
 public:
  Matrix() = default;
  Matrix(int64_t rows, int64_t cols);
  Matrix(const Matrix& other);
  Matrix& operator=(const Matrix& other);
  Matrix(Matrix&& other) noexcept = default;
  Matrix& operator=(Matrix&& other) noexcept = default;

  /// A copy of `view`, made contiguous.
  static Matrix copy_of(ConstFloatView view);
  static Matrix zeros(int64_t rows, int64_t cols);
  /// Gives the matrix a new shape; keeps the memory when it is large enough. Contents are lost.
  void reshape(int64_t rows, int64_t cols);

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t size() const { return rows_ * cols_; }
  float* data() { return static_cast<float*>(buffer_.data()); }
  const float* data() const { return static_cast<const float*>(buffer_.data()); }
  float* row(int64_t i) { return data() + i * cols_; }
  const float* row(int64_t i) const { return data() + i * cols_; }
  float& operator()(int64_t i, int64_t j) { return data()[i * cols_ + j]; }
  float operator()(int64_t i, int64_t j) const { return data()[i * cols_ + j]; }
  FloatView view() { return {data(), rows_, cols_, cols_}; }
  ConstFloatView view() const { return {data(), rows_, cols_, cols_}; }

 private:
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  int64_t capacity_ = 0;
  AlignedBuffer buffer_;
};

/// Elements [first, first + out.size()) of a floating-point tensor, widened (F64: rounded) to fp32;
/// of a tensor in blocks what its codes stand for, exactly as decode_blocks() says.
/// Throws std::invalid_argument for integer tensors or a range outside the tensor.
void to_f32(const TensorView& tensor, int64_t first, std::span<float> out);
/// A whole 1-D or 2-D floating-point tensor as an fp32 matrix ([1, n] for 1-D).
Matrix to_matrix(const TensorView& tensor);

}  // namespace stamp
