// What the integer products of every instruction set share: panels of 64 columns, tiles of rows.
// Included once per instruction set, after the integer vector type.
#include <cstdint>

namespace stamp {
namespace {

constexpr int64_t kPanel = 64;               // columns
constexpr int64_t kGroupBytes = 4 * kPanel;  // of four rows of k as bytes, of eight as nibbles
constexpr int kPanelVectors = static_cast<int>(kPanel / kIntLanes);

/// Hides where a value comes from: the optimizer can neither merge it with an equal one nor move
/// what computes it. After every step of an accumulator this keeps GCC from computing all products
/// first, which spills them.
template <class T>
inline void opaque(T& x) {
#if defined(__aarch64__)
  __asm__ volatile("" : "+w"(x));
#else
  __asm__ volatile("" : "+v"(x));
#endif
}
/// The same for a pointer; before results are stored it keeps their addresses out of the registers
/// that the loop needs.
template <class T>
inline void opaque(T*& p) {
  __asm__ volatile("" : "+r"(p));
}

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

/// The most vectors of a panel row, a power of two, so that `rows` rows of them fit `registers`.
constexpr int vectors_for(int rows, int registers) {
  int vectors = kPanelVectors;
  while (vectors > 1 && rows * vectors > registers) vectors /= 2;
  return vectors;
}

/// Fetches a line that a stream reaches later: far ahead into L2, then nearer into L1. The
/// hardware's prefetchers stop at pages: alone they reach two thirds of what memory gives.
inline void fetch_stream(const uint8_t* at) {
  __builtin_prefetch(at + 16384, 0, 2);
  __builtin_prefetch(at + 2048, 0, 3);
}

/// The low (half 0) or high nibbles of `Vectors` vectors. Both halves load: keeping the bytes would
/// cost registers.
template <int Vectors>
inline void load_nibbles(const uint8_t* panel, int half, Int* u) {
  constexpr int64_t kBytes = 4 * kIntLanes, kLine = 64;
  opaque(panel);
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) {
    const uint8_t* at = panel + v * kBytes;
    if (half == 0 && v * kBytes % kLine == 0) fetch_stream(at);
    u[v] = half == 0 ? low_nibbles(load_int(at)) : high_nibbles(load_int(at));
    opaque(u[v]);
  }
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
