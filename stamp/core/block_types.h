#pragma once
// Weights in blocks, as GGUF files hold them: 32 or 256 neighbours of a row that share scales.
#include "stamp/core/dtype.h"

namespace stamp {

inline constexpr int kLargestBlock = 256;

/// out[i] = the value of element i of `count` elements, which are whole blocks of `dtype`:
///   Q4_0, Q5_0, Q8_0   d c             d fp16, c signed of 4, 5, 8 bits
///   Q4_1, Q5_1         d c + m         d, m fp16, c unsigned
///   Q3_K, Q6_K         (d s) c         s signed of 6, 8 bits, for 16 elements
///   Q2_K               (d s) c - (d' m)  s, m of 4 bits, for 16 elements
///   Q4_K, Q5_K         (d s) c - (d' m)  s, m of 6 bits, for 32 elements
/// in fp32, every operation rounded, in this order: bit for bit what the Python package `gguf`
/// computes. Throws std::invalid_argument for a type without blocks or a part of a block.
void decode_blocks(DType dtype, const void* blocks, int64_t count, float* out);

/// Bits of the signed codes of types whose values are d c and nothing else, with one fp16 scale per
/// block, in which products of integers can use them as they are: Q4_0 4, Q8_0 8; other types 0.
int exact_code_bits(DType dtype);
/// The codes and scales of `count` elements of such a type (Q4_0, Q8_0). Throws
/// std::invalid_argument for other types.
void split_blocks(DType dtype, const void* blocks, int64_t count, int8_t* codes, f16* scales);

}  // namespace stamp
