#include "stamp/core/tensor.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "stamp/core/block_types.h"
#include "stamp/core/error.h"
#include "stamp/core/memory_reserve.h"

namespace stamp {
namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;

/// Elements [first, first + count), which need not be whole blocks.
void decode_part(const TensorView& tensor, int64_t first, int64_t count, float* out) {
  const int64_t block = dtype_block(tensor.dtype);
  const auto* blocks = static_cast<const std::byte*>(tensor.data);
  float values[kLargestBlock];
  while (count > 0) {
    const int64_t inside = first % block;
    const std::byte* from = blocks + dtype_bytes(tensor.dtype, first - inside);
    const bool whole = inside == 0 && count >= block;
    const int64_t done = whole ? count / block * block : std::min(block - inside, count);
    decode_blocks(tensor.dtype, from, whole ? done : block, whole ? out : values);
    if (!whole) std::copy_n(values + inside, done, out);
    first += done, count -= done, out += done;
  }
}

}  // namespace

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(count, size, &count))
      throw_argument("tensor: shape {} has no valid element count", to_string(shape));
  return count;
}

TensorView rows_of(const TensorView& tensor, int64_t first, int64_t count) {
  const int64_t cols = tensor.shape.size() == 2 ? tensor.shape[1] : 1;
  TensorView rows = tensor;
  rows.shape[0] = count;
  rows.data = static_cast<const std::byte*>(tensor.data) + dtype_bytes(tensor.dtype, first * cols);
  return rows;
}

void AlignedBuffer::Free::operator()(void* p) const { std::free(p); }

AlignedBuffer::AlignedBuffer(int64_t bytes) {
  require_memory();
  const int64_t alignment = bytes >= kHugePage ? kHugePage : 64;
  void* memory = nullptr;
  if (posix_memalign(&memory, static_cast<size_t>(alignment),
                     static_cast<size_t>(std::max<int64_t>(bytes, 1))) != 0)
    throw std::bad_alloc();
  data_.reset(memory);
  // Streams through weights stall on page walks otherwise; a kernel without huge pages says no.
  // What is left behind the last whole page stays in small ones: it would take two megabytes.
  const int64_t whole = bytes / kHugePage * kHugePage;
  if (whole > 0) madvise(memory, static_cast<size_t>(whole), MADV_HUGEPAGE);
}

Matrix::Matrix(int64_t rows, int64_t cols) { reshape(rows, cols); }

Matrix::Matrix(const Matrix& other) : Matrix(copy_of(other.view())) {}

Matrix& Matrix::operator=(const Matrix& other) {
  if (this != &other) *this = copy_of(other.view());
  return *this;
}

Matrix Matrix::copy_of(ConstFloatView view) {
  Matrix result(view.rows, view.cols);
  for (int64_t i = 0; i < view.rows; ++i) std::copy_n(view.row(i), view.cols, result.row(i));
  return result;
}

Matrix Matrix::zeros(int64_t rows, int64_t cols) {
  Matrix result(rows, cols);
  std::fill_n(result.data(), result.size(), 0.0f);
  return result;
}

void Matrix::reshape(int64_t rows, int64_t cols) {
  const int64_t count = element_count({rows, cols});
  if (count > capacity_ || !buffer_.data()) {
    buffer_ = AlignedBuffer(count * static_cast<int64_t>(sizeof(float)));
    capacity_ = count;
  }
  rows_ = rows;
  cols_ = cols;
}

void to_f32(const TensorView& tensor, int64_t first, std::span<float> out) {
  const int64_t count = static_cast<int64_t>(out.size());
  if (first < 0 || first > tensor.size() - count)
    throw_argument("tensor: elements [{}, {}) lie outside a tensor of shape {}", first,
                   first + count, to_string(tensor.shape));
  switch (tensor.dtype) {
    case DType::kF32:
      std::memcpy(out.data(), tensor.as<float>() + first, out.size_bytes());
      return;
    case DType::kBF16:
      std::transform(tensor.as<bf16>() + first, tensor.as<bf16>() + first + count, out.data(),
                     bf16_to_f32);
      return;
    case DType::kF16:
      std::transform(tensor.as<f16>() + first, tensor.as<f16>() + first + count, out.data(),
                     f16_to_f32);
      return;
    case DType::kF64:
      std::copy_n(tensor.as<double>() + first, count, out.data());
      return;
    default:
      if (dtype_block(tensor.dtype) > 1) return decode_part(tensor, first, count, out.data());
      throw_argument("tensor: {} is not a floating-point type", dtype_name(tensor.dtype));
  }
}

Matrix to_matrix(const TensorView& tensor) {
  if (tensor.shape.empty() || tensor.shape.size() > 2)
    throw_argument("tensor: expected one or two dimensions, got shape {}", to_string(tensor.shape));
  const bool vector = tensor.shape.size() == 1;
  Matrix result(vector ? 1 : tensor.shape[0], vector ? tensor.shape[0] : tensor.shape[1]);
  to_f32(tensor, 0, {result.data(), static_cast<size_t>(result.size())});
  return result;
}

}  // namespace stamp
