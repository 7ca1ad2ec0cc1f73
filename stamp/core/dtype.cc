#include "stamp/core/dtype.h"

#include <array>

#include "stamp/core/error.h"

namespace stamp {
namespace {

struct Row {
  DType dtype;
  std::string_view name;
  int size;
  int block = 1;
};

constexpr std::array kRows = {
    Row{DType::kF64, "F64", 8},         Row{DType::kF32, "F32", 4},
    Row{DType::kF16, "F16", 2},         Row{DType::kBF16, "BF16", 2},
    Row{DType::kI64, "I64", 8},         Row{DType::kI32, "I32", 4},
    Row{DType::kI16, "I16", 2},         Row{DType::kI8, "I8", 1},
    Row{DType::kU8, "U8", 1},           Row{DType::kBool, "BOOL", 1},
    Row{DType::kQ4_0, "Q4_0", 18, 32},  Row{DType::kQ4_1, "Q4_1", 20, 32},
    Row{DType::kQ5_0, "Q5_0", 22, 32},  Row{DType::kQ5_1, "Q5_1", 24, 32},
    Row{DType::kQ8_0, "Q8_0", 34, 32},  Row{DType::kQ2K, "Q2_K", 84, 256},
    Row{DType::kQ3K, "Q3_K", 110, 256}, Row{DType::kQ4K, "Q4_K", 144, 256},
    Row{DType::kQ5K, "Q5_K", 176, 256}, Row{DType::kQ6K, "Q6_K", 210, 256}};

}  // namespace

int dtype_size(DType dtype) { return kRows[static_cast<size_t>(dtype)].size; }

int dtype_block(DType dtype) { return kRows[static_cast<size_t>(dtype)].block; }

std::string_view dtype_name(DType dtype) { return kRows[static_cast<size_t>(dtype)].name; }

DType dtype_from_name(std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name && row.block == 1) return row.dtype;
  throw_argument("dtype: unknown element type '{}'", name);
}

float f16_to_f32(f16 bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t magnitude = bits & 0x7fffu;
  // Moving the exponent by a multiplication handles subnormals without a branch.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  uint32_t result = std::bit_cast<uint32_t>(scaled);
  if (magnitude >= 0x7c00u) result = 0x7f800000u | (magnitude & 0x3ffu) << 13;
  return std::bit_cast<float>(sign | result);
}

f16 f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<f16>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<f16>(sign | 0x7c00u);  // rounds past 65504
  if (magnitude < 0x38800000u) {  // subnormal: let the FPU round at 2^-24
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<f16>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1);
  return static_cast<f16>(sign | ((rounded - 0x38000000u) >> 13));
}

}  // namespace stamp
