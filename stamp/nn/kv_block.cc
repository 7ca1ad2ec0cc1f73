#include "stamp/nn/kv_block.h"

#include <vector>

#include "stamp/core/parallel.h"
#include "stamp/quant/row_quantizer.h"

namespace stamp {
namespace {

constexpr int64_t kTileBytes = 64, kRunGroup = 8;
constexpr int kSinkBits = 8;

/// Where the parts of one head's K or V go.
struct PartMemory {
  uint8_t *scales, *codes, *zeros;
};

/// Quantizes one row of a head: its codes, and per group a scale and a zero point.
void quantize_row(std::span<const float> row, int bits, const QuantizerSpec& spec,
                  const KvPartLayout& part, int64_t index, const PartMemory& memory,
                  uint8_t* codes) {
  const auto width = static_cast<int64_t>(row.size());
  int64_t group = 0;
  for_each_scale_group(width, 0, spec.block, [&](int64_t first, int64_t count) {
    const auto values = row.subspan(static_cast<size_t>(first), static_cast<size_t>(count));
    const Grid grid = make_grid(range_of(values), bits, spec);
    const int64_t at = group++ * (part.rows + part.sinks) + index;
    const f16 scale = f32_to_f16(grid.scale);
    std::copy_n(reinterpret_cast<const uint8_t*>(&scale), 2, memory.scales + 2 * at);
    if (!part.symmetric) memory.zeros[at] = static_cast<uint8_t>(grid.zero_point());
    const float* x = values.data();
    const Grid local = grid;
#pragma omp simd
    for (int64_t i = 0; i < count; ++i)
      codes[first + i] = static_cast<uint8_t>(static_cast<int>(grid_code(x[i], local) - local.low));
  });
}

/// One stored step of a plane: the bits of up to 8 / plane.bits tiles.
uint8_t* pack_step(const uint8_t* panel, const uint32_t* offsets, int64_t tiles,
                   const PanelPlane& plane, uint8_t* packed) {
  uint8_t bytes[kTileBytes] = {};
  const auto low = static_cast<uint8_t>((1 << plane.bits) - 1);
  for (int64_t i = 0; i < tiles; ++i) {
    const uint8_t* tile = panel + offsets[i];
    const auto up = static_cast<int>(i * plane.bits);
#pragma omp simd
    for (int64_t j = 0; j < kTileBytes; ++j)
      bytes[j] = static_cast<uint8_t>(bytes[j] | ((tile[j] >> plane.shift) & low) << up);
  }
  if (plane.bytes == kTileBytes) return std::copy_n(bytes, kTileBytes, packed);
  for (int64_t j = 0; j < kTileBytes; ++j)
    if (plane.mask >> j & 1) *packed++ = bytes[j];
  return packed;
}

/// The inverse of the kernel unpack_panel.
void pack_panel(const uint8_t* panel, const KvPartLayout& part, uint8_t* packed) {
  const uint32_t* offsets = part.offsets.data();
  for (const PanelRun& run : part.runs)
    for (int64_t left = run.tiles; left > 0; left -= kRunGroup) {
      for (int i = 0; i < run.planes; ++i) {
        const PanelPlane& plane = part.planes[static_cast<size_t>(run.first_plane + i)];
        const int64_t step = 8 / plane.bits;
        for (int64_t t = 0; t < plane.tiles; t += step)
          packed = pack_step(panel, offsets + plane.first + t, std::min(step, plane.tiles - t),
                             plane, packed);
      }
      offsets += std::min(left, kRunGroup);
    }
}

/// One head from the transformed rows and the sinks as they were.
void pack_head(ConstFloatView rows, ConstFloatView sinks, const QuantizerSpec& spec, bool values,
               const KvPartLayout& part, const PartMemory& memory) {
  std::vector<uint8_t> panel(static_cast<size_t>(kv_panel_bytes(values, part.head_dim)));
  std::vector<uint8_t> codes(static_cast<size_t>(part.head_dim));
  int64_t index = 0;
  for (int slot = 0; slot < kKvBlockTokens; ++slot) {
    const int bits = part.bits[static_cast<size_t>(slot)];
    if (bits == 0) continue;
    quantize_row(rows.row_span(kv_slot_row(part.levels, slot)), bits, spec, part, index++, memory,
                 codes.data());
    for (int64_t column = 0; column < part.head_dim; ++column)
      panel[static_cast<size_t>(kv_panel_index(values, slot, column))] =
          codes[static_cast<size_t>(column)];
  }
  pack_panel(panel.data(), part, memory.codes);
  for (int64_t i = 0; i < part.sinks; ++i)
    quantize_row(sinks.row_span(i), kSinkBits, spec, part, index++, memory,
                 memory.codes + part.packed_bytes + i * part.head_dim);
}

/// Rows of L X and the sinks beside them.
struct TransformedRows {
  Matrix rows, sinks;
};

TransformedRows transform(const TokenQuantizer& quantizer, const KvPartLayout& part,
                          ConstFloatView x, int64_t first) {
  if (!quantizer.active()) return {};
  TransformedRows result{Matrix::copy_of(x), Matrix::copy_of(x.rows_from(0, part.sinks))};
  quantizer.forward_only(result.rows.view(), first);
  return result;
}

}  // namespace

std::shared_ptr<uint8_t> KvArena::take(int64_t bytes) {
  constexpr int64_t kAlignment = 64;
  bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return {pool_->take(bytes),
          [pool = pool_, bytes](uint8_t* memory) { pool->give_back(memory, bytes); }};
}

int64_t KvArena::bytes_in_use() const {
  const std::lock_guard lock(pool_->guard);
  return pool_->in_use;
}

uint8_t* KvArena::Pool::take(int64_t bytes) {
  constexpr int64_t kPiece = int64_t{8} << 20;
  const std::lock_guard lock(guard);
  std::vector<uint8_t*>& unused = free[bytes];
  if (!unused.empty()) {
    in_use += bytes;
    uint8_t* const memory = unused.back();
    unused.pop_back();
    return memory;
  }
  if (bytes > left) {
    pieces.emplace_back(std::max(kPiece, bytes));
    left = std::max(kPiece, bytes);
    end = static_cast<uint8_t*>(pieces.back().data()) + left;
  }
  // Room for its return: that must not fail.
  unused.reserve(unused.size() + static_cast<size_t>(in_use / bytes) + 1);
  uint8_t* const memory = end - left;
  left -= bytes;
  in_use += bytes;
  return memory;
}

void KvArena::Pool::give_back(uint8_t* memory, int64_t bytes) noexcept {
  const std::lock_guard lock(guard);
  in_use -= bytes;
  free[bytes].push_back(memory);
}

KvBlock new_kv_block(std::shared_ptr<const KvHeadLayout> layout, int64_t heads, KvArena& arena) {
  const int64_t bytes = heads * layout->bytes;
  return {std::move(layout), heads, arena.take(bytes)};
}

KvBlock copy_kv_block(const KvBlock& block, KvArena& arena) {
  KvBlock copy = new_kv_block(block.layout, block.heads, arena);
  std::copy_n(block.data.get(), block.bytes(), copy.data.get());
  return copy;
}

void fill_kv_block(const TokenQuantizer& k_quantizer, const TokenQuantizer& v_quantizer,
                   ConstFloatView k, ConstFloatView v, int64_t first, const KvBlock& block) {
  const KvHeadLayout* const layout = block.layout.get();
  const TransformedRows keys = transform(k_quantizer, layout->k, k, first);
  const TransformedRows values = transform(v_quantizer, layout->v, v, first);
  parallel_for(block.heads, [&](int64_t h) {
    uint8_t* data = block.data.get() + h * layout->bytes;
    data[layout->bytes - 1] = 0;  // may be padding
    const auto pack = [&](const TransformedRows& x, const TokenQuantizer& quantizer, bool is_value,
                          const KvPartLayout& part, const PartMemory& memory) {
      if (!quantizer.active()) return;
      const int64_t column = h * part.head_dim;
      pack_head(x.rows.view().cols_from(column, part.head_dim),
                x.sinks.view().cols_from(column, part.head_dim), quantizer.spec().quantizer,
                is_value, part, memory);
    };
    pack(keys, k_quantizer, false, layout->k, {data, data + layout->k_codes, data + layout->zeros});
    pack(values, v_quantizer, true, layout->v,
         {data + 2 * layout->k.scale_count(), data + layout->v_codes,
          data + layout->zeros + layout->k.zero_count()});
  });
}

}  // namespace stamp
