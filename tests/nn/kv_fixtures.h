#pragma once
// Quantizers of K and V and a plain reader of packed blocks.
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "random_matrix.h"
#include "stamp/kernels/kernels.h"
#include "stamp/nn/kv_cache.h"
#include "stamp/quant/sequence_transform.h"

namespace stamp {

inline TokenSpec kv_spec(int bits, const std::string& transform,
                         const std::string& plan = "uniform", int skip = 0) {
  TokenSpec spec;
  spec.bits = bits;
  spec.sequence.transform = transform;
  spec.sequence.skip_tokens = skip;
  spec.plan.kind = plan;
  return spec;
}

/// Widths from 0 or 2 to 8 mixed as `range2` says.
inline TokenQuantizer waterfill_quantizer(const std::string& transform, double average,
                                          int min_bits, int skip = 0) {
  TokenSpec spec = kv_spec(4, transform, "waterfill", skip);
  spec.plan.average_bits = average;
  spec.plan.min_bits = min_bits;
  std::vector<float> range2;
  for (int i = 0; i < 64; ++i)
    range2.push_back(std::exp2(static_cast<float>((i * 37 + 11) % 64) / -4.0f));
  return {spec, range2};
}

/// Rows [64, heads * head_dim] that the codes of K or V stand for.
inline Matrix decode(const KvBlock& block, bool values, Isa isa = active_isa()) {
  const KvHeadLayout& layout = *block.layout;
  const KvPartLayout& part = values ? layout.v : layout.k;
  Matrix rows(64, block.heads * part.head_dim), sinks(part.sinks, rows.cols());
  std::vector<uint8_t> panel(static_cast<size_t>(kv_panel_bytes(values, part.head_dim)), 0xee);
  for (int64_t h = 0; h < block.heads; ++h) {
    const uint8_t* data = block.head(h);
    const uint8_t* codes = data + (values ? layout.v_codes : layout.k_codes);
    const uint8_t* scales = data + (values ? 2 * layout.k.scale_count() : 0);
    const uint8_t* zeros = data + layout.zeros + (values ? layout.k.zero_count() : 0);
    kernels_of(isa).unpack_panel(codes, part.runs.data(), static_cast<int64_t>(part.runs.size()),
                                 part.planes.data(), part.offsets.data(), panel.data());
    const auto value = [&](int code, int64_t index, int64_t column, int bits) {
      const int64_t at = column / part.group * (part.rows + part.sinks) + index;
      const int zero = part.symmetric ? 1 << (bits - 1) : zeros[at];
      f16 scale;
      std::memcpy(&scale, scales + 2 * at, 2);
      return static_cast<float>(code - zero) * f16_to_f32(scale);
    };
    int64_t index = 0;
    for (int slot = 0; slot < 64; ++slot) {
      const int bits = part.bits[static_cast<size_t>(slot)];
      for (int64_t d = 0; d < part.head_dim; ++d)
        rows(kv_slot_row(part.levels, slot), h * part.head_dim + d) =
            bits == 0 ? 0.0f
                      : value(panel[static_cast<size_t>(kv_panel_index(values, slot, d))], index, d,
                              bits);
      index += bits > 0;
    }
    for (int64_t i = 0; i < part.sinks; ++i, ++index)
      for (int64_t d = 0; d < part.head_dim; ++d)
        sinks(i, h * part.head_dim + d) =
            value(codes[part.packed_bytes + i * part.head_dim + d], index, d, 8);
  }
  sequence_transform(part.levels > 0 ? "haar" : "identity").inverse(rows.view(), part.levels);
  for (int64_t i = 0; i < part.sinks; ++i) std::copy_n(sinks.row(i), rows.cols(), rows.row(i));
  return rows;
}

}  // namespace stamp
