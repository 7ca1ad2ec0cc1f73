#include "stamp/core/block_types.h"

#include <cstring>

#include "stamp/core/error.h"

namespace stamp {
namespace {

static_assert(std::endian::native == std::endian::little, "blocks are used as files hold them");

constexpr int kShort = 32, kLong = 256;

f16 f16_at(const uint8_t* bytes) {
  f16 bits;
  std::memcpy(&bits, bytes, sizeof bits);
  return bits;
}

float float_at(const uint8_t* bytes) { return f16_to_f32(f16_at(bytes)); }

uint32_t word_at(const uint8_t* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

/// Codes of 4 bits: the first half of the block lies in the low nibbles, the second in the high.
void decode_q4_0(const uint8_t* block, float* out) {
  const float scale = float_at(block);
  for (int i = 0; i < kShort / 2; ++i) {
    out[i] = scale * static_cast<float>((block[2 + i] & 15) - 8);
    out[i + kShort / 2] = scale * static_cast<float>((block[2 + i] >> 4) - 8);
  }
}

void decode_q4_1(const uint8_t* block, float* out) {
  const float scale = float_at(block), least = float_at(block + 2);
  for (int i = 0; i < kShort / 2; ++i) {
    out[i] = scale * static_cast<float>(block[4 + i] & 15) + least;
    out[i + kShort / 2] = scale * static_cast<float>(block[4 + i] >> 4) + least;
  }
}

/// Element i of 5 bits: a nibble as above, the fifth bit is bit i of `high`.
int five_bits(const uint8_t* nibbles, uint32_t high, int i) {
  const int half = kShort / 2;
  const int low = i < half ? nibbles[i] & 15 : nibbles[i - half] >> 4;
  return low | static_cast<int>(high >> i & 1) << 4;
}

void decode_q5_0(const uint8_t* block, float* out) {
  const float scale = float_at(block);
  const uint32_t high = word_at(block + 2);
  for (int i = 0; i < kShort; ++i)
    out[i] = scale * static_cast<float>(five_bits(block + 6, high, i) - 16);
}

void decode_q5_1(const uint8_t* block, float* out) {
  const float scale = float_at(block), least = float_at(block + 2);
  const uint32_t high = word_at(block + 4);
  for (int i = 0; i < kShort; ++i)
    out[i] = scale * static_cast<float>(five_bits(block + 8, high, i)) + least;
}

void decode_q8_0(const uint8_t* block, float* out) {
  const float scale = float_at(block);
  for (int i = 0; i < kShort; ++i)
    out[i] = scale * static_cast<float>(static_cast<int8_t>(block[2 + i]));
}

/// Two bits of element i of a long block: 32 bytes hold four runs of 32 elements.
int two_bits(const uint8_t* bytes, int i) {
  return bytes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

void decode_q2_k(const uint8_t* block, float* out) {
  const uint8_t *scales = block, *codes = block + 16;
  const float scale = float_at(block + 80), least = float_at(block + 82);
  for (int part = 0; part < kLong / 16; ++part) {
    const float d = scale * static_cast<float>(scales[part] & 15);
    const float m = least * static_cast<float>(scales[part] >> 4);
    for (int i = part * 16; i < part * 16 + 16; ++i)
      out[i] = d * static_cast<float>(two_bits(codes, i)) - m;
  }
}

void decode_q3_k(const uint8_t* block, float* out) {
  const uint8_t *high = block, *codes = block + 32, *scales = block + 96;
  const float scale = float_at(block + 108);
  for (int part = 0; part < kLong / 16; ++part) {
    const int low_bits = scales[part % 8] >> (part / 8 * 4) & 15;
    const int high_bits = scales[8 + part % 4] >> (part / 4 * 2) & 3;
    const float d = scale * static_cast<float>((low_bits | high_bits << 4) - 32);
    for (int i = part * 16; i < part * 16 + 16; ++i) {
      const int offset = (high[i % 32] >> (i / 32) & 1) == 0 ? 4 : 0;
      out[i] = d * static_cast<float>(two_bits(codes, i) - offset);
    }
  }
}

struct ScaleAndLeast {
  int scale, least;
};

/// Run `run` (of 8) of Q4_K and Q5_K: 6 bits each in 12 bytes. The first four runs have bytes of
/// their own; the others nibbles of the last four bytes, and the two bits that those left over.
ScaleAndLeast scale_and_least(const uint8_t* packed, int run) {
  if (run < 4) return {packed[run] & 63, packed[run + 4] & 63};
  return {(packed[run + 4] & 15) | (packed[run - 4] >> 2 & 48),
          (packed[run + 4] >> 4) | (packed[run] >> 2 & 48)};
}

/// Runs of 32 elements, two in the nibbles of 32 bytes; `high` (of Q4_K: null) holds the fifth bit
/// of element i of run r at bit r of byte i.
void decode_runs(const uint8_t* block, const uint8_t* high, const uint8_t* codes, float* out) {
  const float scale = float_at(block), least = float_at(block + 2);
  for (int run = 0; run < 8; ++run) {
    const ScaleAndLeast own = scale_and_least(block + 4, run);
    const float d = scale * static_cast<float>(own.scale);
    const float m = least * static_cast<float>(own.least);
    const uint8_t* bytes = codes + run / 2 * 32;
    const int shift = run % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      const int fifth = high == nullptr ? 0 : (high[i] >> run & 1) << 4;
      out[run * 32 + i] = d * static_cast<float>((bytes[i] >> shift & 15) | fifth) - m;
    }
  }
}

void decode_q4_k(const uint8_t* block, float* out) { decode_runs(block, nullptr, block + 16, out); }

void decode_q5_k(const uint8_t* block, float* out) {
  decode_runs(block, block + 16, block + 48, out);
}

void decode_q6_k(const uint8_t* block, float* out) {
  const uint8_t *low = block, *high = block + 128, *scales = block + 192;
  const float scale = float_at(block + 208);
  for (int part = 0; part < kLong / 16; ++part) {
    const float d = scale * static_cast<float>(static_cast<int8_t>(scales[part]));
    for (int i = part * 16; i < part * 16 + 16; ++i) {
      const int nibble = low[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15;
      out[i] = d * static_cast<float>((nibble | two_bits(high, i) << 4) - 32);
    }
  }
}

using Decoder = void (*)(const uint8_t* block, float* out);

Decoder decoder_of(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
      return decode_q4_0;
    case DType::kQ4_1:
      return decode_q4_1;
    case DType::kQ5_0:
      return decode_q5_0;
    case DType::kQ5_1:
      return decode_q5_1;
    case DType::kQ8_0:
      return decode_q8_0;
    case DType::kQ2K:
      return decode_q2_k;
    case DType::kQ3K:
      return decode_q3_k;
    case DType::kQ4K:
      return decode_q4_k;
    case DType::kQ5K:
      return decode_q5_k;
    case DType::kQ6K:
      return decode_q6_k;
    default:
      throw_argument("blocks: {} is not a type in blocks", dtype_name(dtype));
  }
}

void check_whole(DType dtype, int64_t count) {
  if (count < 0 || count % dtype_block(dtype) != 0)
    throw_argument("blocks: expected whole blocks of {} elements of {}, got {}", dtype_block(dtype),
                   dtype_name(dtype), count);
}

}  // namespace

void decode_blocks(DType dtype, const void* blocks, int64_t count, float* out) {
  const Decoder decode = decoder_of(dtype);
  check_whole(dtype, count);
  const int64_t block = dtype_block(dtype), bytes = dtype_size(dtype);
  const auto* from = static_cast<const uint8_t*>(blocks);
  for (int64_t i = 0; i < count / block; ++i) decode(from + i * bytes, out + i * block);
}

int exact_code_bits(DType dtype) {
  return dtype == DType::kQ4_0 ? 4 : dtype == DType::kQ8_0 ? 8 : 0;
}

void split_blocks(DType dtype, const void* blocks, int64_t count, int8_t* codes, f16* scales) {
  const int bits = exact_code_bits(dtype);
  if (bits == 0) throw_argument("blocks: the codes of {} are not d c alone", dtype_name(dtype));
  check_whole(dtype, count);
  const auto* block = static_cast<const uint8_t*>(blocks);
  for (int64_t first = 0; first < count; first += kShort, block += dtype_size(dtype)) {
    *scales++ = f16_at(block);
    int8_t* out = codes + first;
    if (bits == 8) {
      std::memcpy(out, block + 2, kShort);
      continue;
    }
    for (int i = 0; i < kShort / 2; ++i) {
      out[i] = static_cast<int8_t>((block[2 + i] & 15) - 8);
      out[i + kShort / 2] = static_cast<int8_t>((block[2 + i] >> 4) - 8);
    }
  }
}

}  // namespace stamp
