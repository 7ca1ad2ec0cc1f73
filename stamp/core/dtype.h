#pragma once
// Element types of tensors in files and in memory, and exact conversions to fp32.
#include <bit>
#include <cstdint>
#include <string_view>

namespace stamp {

enum class DType : uint8_t { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };

/// Bytes of one element.
int dtype_size(DType dtype);
/// Name as safetensors spells it: "F32", "BF16", ...
std::string_view dtype_name(DType dtype);
/// The inverse of dtype_name; throws std::invalid_argument for an unknown name.
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
