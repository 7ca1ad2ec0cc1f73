#include "stamp/quant/packed_weight.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"

namespace stamp {
namespace {

constexpr int64_t kColumns = PackedWeight::kColumns;
constexpr int64_t kWordsAtOnce = 16;  // a cache line of every column

/// Nibbles 0 1 2 3 4 5 6 7 of a word to 0 4 1 5 2 6 3 7: byte i holds k = i low and k = i + 4 high.
inline uint32_t interleave_halves(uint32_t x) {
  uint32_t t = (x ^ (x >> 8)) & 0x0000ff00u;
  x ^= t ^ (t << 8);
  t = (x ^ (x >> 4)) & 0x00f000f0u;
  return x ^ t ^ (t << 4);
}

inline int32_t sum_of_nibbles(uint32_t x) {
  const uint32_t pairs = (x & 0x0f0f0f0fu) + ((x >> 4) & 0x0f0f0f0fu);
  return static_cast<int32_t>((pairs * 0x01010101u) >> 24);
}

inline int32_t sum_of_bytes(uint32_t x) {
  return static_cast<int32_t>((x & 0xff) + (x >> 8 & 0xff) + (x >> 16 & 0xff) + (x >> 24));
}

/// Words [first, first + count) of one stored row into column `column` of a panel of words
/// [words][64]; returns the sum of their fields.
template <int Bits>
int32_t pack_words(const uint32_t* row, int64_t first, int64_t count, int64_t column,
                   uint32_t* panel) {
  int32_t sum = 0;
  for (int64_t w = first; w < first + count; ++w) {
    panel[w * kColumns + column] = Bits == 4 ? interleave_halves(row[w]) : row[w];
    sum += Bits == 4 ? sum_of_nibbles(row[w]) : sum_of_bytes(row[w]);
  }
  return sum;
}

/// All columns of one panel, a cache line of each at a time.
template <int Bits>
void pack_panel(const StoredWeight& weight, int64_t first_row, int64_t group_words, uint32_t* panel,
                int32_t* sums) {
  const int64_t words = weight.packed.shape[1];
  const int64_t columns = std::min(kColumns, weight.out_dim - first_row);
  const auto* rows = weight.packed.as<uint32_t>() + first_row * words;
  for (int64_t first = 0; first < words; first += kWordsAtOnce)
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t w = first; w < std::min(words, first + kWordsAtOnce);) {
        const int64_t g = w / group_words;
        const int64_t end = std::min({words, first + kWordsAtOnce, (g + 1) * group_words});
        sums[g * kColumns + j] += pack_words<Bits>(rows + j * words, w, end - w, j, panel);
        w = end;
      }
}

}  // namespace

PackedWeight::PackedWeight(const StoredWeight& layout, int64_t block)
    : bits_(layout.bits),
      stored_group_(layout.group),
      group_(std::gcd(layout.group, block)),
      out_dim_(layout.out_dim),
      in_dim_(layout.in_dim) {
  if (layout.group % 8 != 0 || block % 8 != 0)
    throw_argument(
        "packed weight: expected a group and a block that are multiples of 8, got {}, {}",
        layout.group, block);
  groups_ = group_ == 0 ? 1 : (in_dim_ + group_ - 1) / group_;
  panel_bytes_ = padded_in_dim() * kColumns * bits_ / 8;
  data_ = AlignedBuffer(panels() * panel_bytes_);
  scale_.assign(static_cast<size_t>(panels() * groups_ * kColumns), 0.0f);
  sum_.assign(scale_.size(), 0);
}

void PackedWeight::fill(int64_t first, const StoredWeight& rows) {
  check(rows, "packed weight");
  const int64_t end = first + rows.out_dim;
  if (rows.bits != bits_ || rows.group != stored_group_ || rows.in_dim != in_dim_ || first < 0 ||
      first % kColumns != 0 || end > out_dim_ || (end % kColumns != 0 && end != out_dim_))
    throw_argument("packed weight: rows {} to {} of a weight [{}, {}] do not fit [{}, {}]", first,
                   end, rows.out_dim, rows.in_dim, out_dim_, in_dim_);
  const int64_t first_panel = first / kColumns;
  parallel_ranges((rows.out_dim + kColumns - 1) / kColumns, 1, [&](int64_t begin, int64_t last) {
    std::vector<float> scales(static_cast<size_t>(rows.groups()));
    for (int64_t i = begin; i < last; ++i) fill_panel(first_panel + i, rows, i * kColumns, scales);
  });
}

/// Panel p from the rows of `rows` that start at `row`.
void PackedWeight::fill_panel(int64_t p, const StoredWeight& rows, int64_t row,
                              std::span<float> scales) {
  auto* panel = reinterpret_cast<uint32_t*>(static_cast<uint8_t*>(data_.data()) + p * panel_bytes_);
  const int64_t fields = 32 / bits_, columns = std::min(kColumns, rows.out_dim - row);
  // Columns beyond out_dim and the last words of an odd in_dim stay zero.
  if (columns < kColumns || padded_in_dim() / fields != rows.packed.shape[1])
    std::memset(panel, 0, static_cast<size_t>(panel_bytes_));
  int32_t* sums = &sum_[column(p, 0)];
  (bits_ == 4 ? pack_panel<4> : pack_panel<8>)(rows, row, group() / fields, panel, sums);
  for (int64_t j = 0; j < columns; ++j) {
    to_f32(rows.scale, (row + j) * rows.groups(), scales);
    for (int64_t g = 0; g < groups_; ++g) {
      const int64_t channels = std::min(group(), in_dim_ - g * group());
      sums[g * kColumns + j] -= static_cast<int32_t>(channels) * bias();
      const int64_t stored = stored_group_ == 0 ? 0 : g * group_ / stored_group_;
      scale_[column(p, g) + static_cast<size_t>(j)] = scales[static_cast<size_t>(stored)];
    }
  }
}

int64_t PackedWeight::bytes() const {
  return panels() * panel_bytes_ +
         static_cast<int64_t>(scale_.size()) * int64_t{sizeof(float) + sizeof(int32_t)};
}

}  // namespace stamp
