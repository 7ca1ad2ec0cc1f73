#pragma once
// Element types of tensors in files and in memory, and exact conversions to fp32.
#include <bit>
#include <cstdint>
#include <string_view>

namespace stamp {

enum class DType : uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool,
  // Weights in blocks of neighbours of one row, as GGUF files hold them (block_types.h).
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2K,
  kQ3K,
  kQ4K,
  kQ5K,
  kQ6K,
};

/// Bytes of one element; of one block where dtype_block() is not 1.
int dtype_size(DType dtype);
/// Elements that are stored together: 1; 32 or 256 of types in blocks.
int dtype_block(DType dtype);
/// True for what weights of models may be: F32, F16, BF16, and types in blocks.
inline bool is_weight_type(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 ||
         dtype_block(dtype) > 1;
}
/// Bytes of `count` elements, which are whole blocks.
inline int64_t dtype_bytes(DType dtype, int64_t count) {
  return count / dtype_block(dtype) * dtype_size(dtype);
}
/// Name as safetensors spells it: "F32", "BF16", ...; of types in blocks as GGUF does: "Q4_K".
std::string_view dtype_name(DType dtype);
/// The inverse of dtype_name for types without blocks; throws std::invalid_argument for any other
/// name.
DType dtype_from_name(std::string_view name);

using bf16 = uint16_t;  // bit pattern
using f16 = uint16_t;   // bit pattern

inline float bf16_to_f32(bf16 bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

/// Round to nearest even; NaN stays NaN.
inline bf16 f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<bf16>((bits >> 16) | 0x40);
  return static_cast<bf16>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

float f16_to_f32(f16 bits);
/// Round to nearest even; overflow becomes infinity.
f16 f32_to_f16(float value);
/// The nearest fp16 value, as fp32. Every quantization scale is such a value.
inline float round_to_f16(float value) { return f16_to_f32(f32_to_f16(value)); }

}  // namespace stamp
