#include "stamp/nn/kv_layout.h"

#include <bit>
#include <cmath>
#include <span>

#include "stamp/core/error.h"
#include "stamp/quant/bit_plan.h"
#include "stamp/quant/haar.h"

namespace stamp {
namespace {

constexpr int64_t kTileBytes = 64;
constexpr size_t kRunGroup = 8;

/// Codes of `width` bits are cut into at most a nibble, then a nibble or a pair, then a single bit.
struct PlaneKind {
  int bits, shift;
  bool in(int width) const {
    const int nibble = width >= 4 ? 4 : 0, rest = width - nibble;
    if (bits == 4) return shift == 0 ? nibble == 4 : rest == 4;
    if (bits == 2) return shift == nibble && (rest & 2) != 0;
    return shift == nibble + (rest & 2) && (rest & 1) != 0;
  }
};
constexpr PlaneKind kPlanes[] = {{4, 0}, {2, 0}, {4, 4}, {2, 4}, {1, 2}, {1, 4}, {1, 6}};

PanelPlane make_plane(const PlaneKind& kind, uint64_t mask) {
  PanelPlane plane{.mask = mask,
                   .bytes = std::popcount(mask),
                   .bits = static_cast<uint8_t>(kind.bits),
                   .shift = static_cast<uint8_t>(kind.shift)};
  const uint64_t words = mask & 0x1111111111111111u;
  if (words * 15 == mask) {  // whole words: each goes to its place
    for (int i = 0; i < 16; ++i) plane.lanes |= static_cast<uint32_t>(mask >> 4 * i & 1) << i;
    for (int j = 0; j < 16; ++j) plane.spread[j] = static_cast<uint8_t>(j);
    return plane;
  }
  // The same bytes of all words, or of the first 4, 8 or 12: 16 bytes of a tile are made of as many
  // stored words as a word has bytes.
  const int count = std::popcount(mask & 15);
  for (int i = 0; i < 16; i += 4)
    if (mask >> 4 * i & 15) plane.lanes |= ((1u << count) - 1) << i;
  uint8_t next = 0;
  for (int j = 0; j < 16; ++j) plane.spread[j] = mask >> j & 1 ? next++ : uint8_t{128};
  return plane;
}

/// The place of a tile: 16 slots x 4 columns of keys, 4 slots x up to 16 columns of values.
struct Tile {
  int64_t slot, column, columns;
};

/// In an order that keeps slots of one width together: all whole columns of a strip of slots in
/// turn, then the columns that are left.
std::vector<Tile> list_tiles(bool values, int64_t head_dim) {
  std::vector<Tile> tiles;
  const int64_t strip = values ? 4 : 16, width = values ? 16 : 4;
  const int64_t whole = head_dim / width * width;
  for (int64_t slot = 0; slot < kKvBlockTokens; slot += strip)
    for (int64_t column = 0; column < whole; column += width)
      tiles.push_back({slot, column, width});
  for (int64_t slot = 0; slot < kKvBlockTokens && whole < head_dim; slot += strip)
    tiles.push_back({slot, whole, head_dim - whole});
  return tiles;
}

/// Bytes of a tile whose codes have the bits of `kind`.
uint64_t tile_mask(const KvPartLayout& part, bool values, const Tile& tile, const PlaneKind& kind) {
  uint64_t mask = 0;
  for (int64_t j = 0; j < (values ? 4 * tile.columns : kTileBytes); ++j) {
    const auto slot = static_cast<size_t>(tile.slot + (values ? j % 4 : j / 4));
    mask |= uint64_t{kind.in(part.bits[slot])} << j;
  }
  return mask;
}

/// Planes of one kind of a group of tiles. Tiles that share bytes share a mask: codes without these
/// bits hold zeros, or bits that another plane holds as well.
void add_planes(const KvPartLayout& part, bool values, std::span<const Tile> tiles,
                const PlaneKind& kind, std::vector<PanelPlane>& planes) {
  const size_t step = 8 / static_cast<size_t>(kind.bits), before = planes.size();
  for (size_t t = 0; t < tiles.size(); t += step) {
    const size_t end = std::min(t + step, tiles.size());
    uint64_t mask = 0;
    for (size_t i = t; i < end; ++i) mask |= tile_mask(part, values, tiles[i], kind);
    if (mask == 0) continue;
    PanelPlane* last = planes.size() > before ? &planes.back() : nullptr;
    if (!last || last->mask != mask || static_cast<size_t>(last->first + last->tiles) != t) {
      planes.push_back(make_plane(kind, mask));
      last = &planes.back();
      last->first = static_cast<uint8_t>(t);
    }
    last->tiles = static_cast<uint8_t>(end - last->first);
  }
}

/// A group of tiles: its planes, which of them add, and whether they need zeros to add to.
PanelRun make_group(const KvPartLayout& part, bool values, std::span<const Tile> tiles,
                    std::vector<PanelPlane>& planes) {
  planes.clear();
  for (const PlaneKind& kind : kPlanes) add_planes(part, values, tiles, kind, planes);
  PanelRun run{.tiles = static_cast<int32_t>(tiles.size()),
               .planes = static_cast<int32_t>(planes.size())};
  unsigned written = 0;
  for (PanelPlane& plane : planes) {
    const unsigned covered = ((1u << plane.tiles) - 1) << plane.first;
    plane.adds = (written & covered) != 0;
    run.clear |= plane.adds && (written & covered) != covered;
    written |= covered;
  }
  run.clear |= written != (1u << run.tiles) - 1;
  for (PanelPlane& plane : planes) plane.adds |= run.clear;
  return run;
}

int64_t packed_bytes(std::span<const PanelPlane> planes) {
  int64_t bytes = 0;
  for (const PanelPlane& plane : planes) bytes += (plane.tiles * plane.bits + 7) / 8 * plane.bytes;
  return bytes;
}

void cut_into_runs(KvPartLayout& part, bool values) {
  const std::vector<Tile> tiles = list_tiles(values, part.head_dim);
  for (const Tile& tile : tiles)
    part.offsets.push_back(static_cast<uint32_t>(kv_panel_index(values, tile.slot, tile.column)));
  std::vector<PanelPlane> planes, last;
  for (size_t first = 0; first < tiles.size(); first += kRunGroup, last = planes) {
    const size_t count = std::min(kRunGroup, tiles.size() - first);
    PanelRun run = make_group(part, values, std::span(tiles).subspan(first, count), planes);
    part.packed_bytes += packed_bytes(planes);
    if (first > 0 && count == kRunGroup && planes == last) {
      part.runs.back().tiles += run.tiles;
      continue;
    }
    run.first_plane = static_cast<int32_t>(part.planes.size());
    part.planes.insert(part.planes.end(), planes.begin(), planes.end());
    part.runs.push_back(run);
  }
}

KvPartLayout make_part(const TokenQuantizer& quantizer, bool values, int64_t head_dim,
                       int64_t first) {
  KvPartLayout part;
  if (!quantizer.active()) return part;
  const TokenSpec& spec = quantizer.spec();
  part.sinks = static_cast<int>(token_blocks(spec.sequence, kKvBlockTokens, first).front().sinks);
  part.head_dim = head_dim;
  part.group =
      spec.quantizer.block > 0 ? std::min<int64_t>(spec.quantizer.block, head_dim) : head_dim;
  part.groups = (head_dim + part.group - 1) / part.group;
  part.symmetric = spec.quantizer.symmetric;
  part.levels = std::min(block_levels(spec, kKvBlockTokens), haar_max_levels(kKvBlockTokens));
  const auto widths = quantizer.widths(kKvBlockTokens, part.sinks);
  int widest = 0;
  for (int slot = 0; slot < kKvBlockTokens; ++slot) {
    const auto s = static_cast<size_t>(slot);
    const auto row = static_cast<size_t>(kv_slot_row(part.levels, slot));
    part.bits[s] = (*widths)[row];
    part.rows += part.bits[s] > 0;
    widest = std::max<int>(widest, part.bits[s]);
    part.middle[s] = part.bits[s] > 0 ? static_cast<uint8_t>(1 << (part.bits[s] - 1)) : 0;
    const int depth =
        slot == 0 ? part.levels
                  : std::min(part.levels,
                             7 - static_cast<int>(std::bit_width(static_cast<unsigned>(slot))));
    part.factor[s] = static_cast<float>(std::exp2(-0.5 * depth));
  }
  part.code_limit = widest <= 4 ? 15 : 255;
  cut_into_runs(part, values);
  return part;
}

}  // namespace

int kv_slot_row(int levels, int slot) {
  const int quarter = slot / 16, i = slot % 16;
  if (levels == 0) return 4 * i + quarter;
  if (levels > 1 && quarter < 2) return slot;
  return quarter / 2 * 32 + 2 * i + quarter % 2;
}

bool kv_packable(const TokenQuantizer& quantizer, int64_t head_dim) {
  const TokenSpec& spec = quantizer.spec();
  const bool transform = spec.sequence.transform == "identity" || spec.sequence.transform == "haar";
  return transform && spec.sequence.skip_tokens < kKvBlockTokens && head_dim % 4 == 0 &&
         spec.quantizer.block % 4 == 0 && spec.sequence.block_tokens % kKvBlockTokens == 0;
}

BitCount KvHeadLayout::count_bits() const {
  BitCount bits;
  for (const KvPartLayout* part : {&k, &v}) {
    bits.data_bits += 8.0 * static_cast<double>(part->code_bytes());
    bits.elements += kKvBlockTokens * part->head_dim;
  }
  bits.scale_bits = 8.0 * static_cast<double>(bytes) - bits.data_bits;
  return bits;
}

KvHeadLayout make_kv_layout(const TokenQuantizer& k, const TokenQuantizer& v, int64_t head_dim,
                            int64_t first) {
  KvHeadLayout head{.k = make_part(k, false, head_dim, first),
                    .v = make_part(v, true, head_dim, first)};
  head.k_codes = 2 * (head.k.scale_count() + head.v.scale_count());
  head.v_codes = head.k_codes + head.k.code_bytes();
  head.zeros = head.v_codes + head.v.code_bytes();
  head.bytes = head.zeros + head.k.zero_count() + head.v.zero_count();
  head.bytes += head.bytes % 2;
  return head;
}

int64_t kv_panel_bytes(bool values, int64_t head_dim) {
  return values ? (head_dim + 63) / 64 * 4096 : (head_dim + 3) / 4 * 256;
}

}  // namespace stamp
