// What the integer products of every instruction set share: panels of 64 columns, tiles of rows.
// Included once per instruction set, after the integer vector type.
#include <cstdint>

namespace stamp {
namespace {

constexpr int64_t kPanel = 64;               // columns
constexpr int64_t kGroupBytes = 4 * kPanel;  // of four rows of k as bytes, of eight as nibbles
constexpr int kPanelVectors = static_cast<int>(kPanel / kIntLanes);

template <int Rows, class Body>
inline void last_rows(int64_t rows, int64_t first, const Body& body) {
  if constexpr (Rows > 0) {
    if (rows == Rows) return body.template operator()<Rows>(first);
    last_rows<Rows - 1>(rows, first, body);
  }
}

/// Calls body<Rows>(first row) for tiles of Max rows, then for the rest of m.
template <int Max, class Body>
inline void for_row_tiles(int64_t m, const Body& body) {
  int64_t first = 0;
  for (; first + Max <= m; first += Max) body.template operator()<Max>(first);
  last_rows<Max - 1>(m - first, first, body);
}

/// The most vectors of a panel row, a power of two, so that Rows tiles of them fit `registers`.
constexpr int vectors_for(int rows, int registers) {
  int vectors = kPanelVectors;
  while (vectors > 1 && rows * vectors > registers) vectors /= 2;
  return vectors;
}

void unpack_u4(const uint8_t* nibbles, uint8_t* bytes, int64_t k) noexcept {
  for (int64_t p = 0; p < k; p += 8, nibbles += kGroupBytes, bytes += 2 * kGroupBytes)
    for (int64_t i = 0; i < kGroupBytes; i += 4 * kIntLanes) {
      const Int both = load_int(nibbles + i);
      store_int(bytes + i, low_nibbles(both));
      store_int(bytes + kGroupBytes + i, high_nibbles(both));
    }
}

}  // namespace
}  // namespace stamp
