// The AMX kernel's index logic, on any processor: its source compiled against an emulation of the
// tile operations. On a processor with AMX the conformance tests run the real ones.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "stamp/core/rng.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

/// Eight tiles of sixteen rows of 64 bytes; what the processor would answer with a fault is
/// counted.
struct TileUnit {
  bool configured = false;
  uint16_t row_bytes[8] = {};
  uint8_t rows[8] = {};
  uint8_t data[8][16][64] = {};
  int faults = 0, configurations = 0;

  void require(bool condition) { faults += !condition; }
};
TileUnit unit;

template <class Config>
void tile_configure(const Config& config) {
  static_assert(sizeof(Config) == 64);
  uint8_t bytes[64];
  std::memcpy(bytes, &config, 64);
  unit.require(bytes[0] == 1 && !unit.configured);
  for (int i = 1; i < 16; ++i) unit.require(bytes[i] == 0);
  for (int t = 0; t < 8; ++t) {
    std::memcpy(&unit.row_bytes[t], bytes + 16 + 2 * t, 2);
    unit.rows[t] = bytes[48 + t];
    unit.require(unit.row_bytes[t] <= 64 && unit.rows[t] <= 16);
  }
  for (int i = 32; i < 48; ++i) unit.require(bytes[i] == 0);
  for (int i = 56; i < 64; ++i) unit.require(bytes[i] == 0);
  unit.configured = true;
  ++unit.configurations;
  std::memset(unit.data, 0, sizeof(unit.data));
}
void tile_release() { unit.configured = false; }

template <int Tile>
void tile_zero() {
  unit.require(unit.configured);
  std::memset(unit.data[Tile], 0, sizeof(unit.data[Tile]));
}
template <int Tile>
void tile_load(const void* from, int64_t stride) {
  unit.require(unit.configured);
  tile_zero<Tile>();
  for (int i = 0; i < unit.rows[Tile]; ++i)
    std::memcpy(unit.data[Tile][i], static_cast<const char*>(from) + i * stride,
                unit.row_bytes[Tile]);
}
template <int Tile>
void tile_store(void* to, int64_t stride) {
  unit.require(unit.configured);
  for (int i = 0; i < unit.rows[Tile]; ++i)
    std::memcpy(static_cast<char*>(to) + i * stride, unit.data[Tile][i], unit.row_bytes[Tile]);
}
template <int Sums, int Rows, int Columns>
void tile_dot() {
  unit.require(unit.configured && unit.rows[Sums] == unit.rows[Rows] &&
               unit.row_bytes[Sums] == unit.row_bytes[Columns] &&
               unit.row_bytes[Rows] == 4 * unit.rows[Columns]);
  for (int i = 0; i < unit.rows[Sums]; ++i)
    for (int j = 0; j < unit.row_bytes[Sums] / 4; ++j) {
      int32_t sum;
      std::memcpy(&sum, unit.data[Sums][i] + 4 * j, 4);
      for (int p = 0; p < unit.row_bytes[Rows]; ++p)
        sum +=
            static_cast<int8_t>(unit.data[Rows][i][p]) * unit.data[Columns][p / 4][4 * j + p % 4];
      std::memcpy(unit.data[Sums][i] + 4 * j, &sum, 4);
    }
}
void gemm_rest(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c, int64_t ldc,
               int64_t m, int64_t k, const uint8_t* a_limit, int u_limit, int accumulate) {
  kernels_of(Isa::kScalar).gemm_s8u8(a, lda, panel, c, ldc, m, k, a_limit, u_limit, accumulate);
}

}  // namespace
}  // namespace stamp

#include "stamp/kernels/amx/gemm.h"

namespace stamp {
namespace {

void check(int64_t m, int64_t k, int accumulate, Rng& rng) {
  const int64_t lda = k + 5, ldc = 67;
  std::vector<int8_t> a;
  for (int64_t i = 0; i < m * lda; ++i) a.push_back(static_cast<int8_t>(rng.below(256)));
  std::vector<uint8_t> panel, limits(static_cast<size_t>(m), 128);
  for (int64_t i = 0; i < k * 64; ++i) panel.push_back(static_cast<uint8_t>(rng.below(256)));
  std::vector<int32_t> want;
  for (int64_t i = 0; i < m * ldc; ++i) want.push_back(static_cast<int32_t>(rng.below(99)));
  auto got = want;
  kernels_of(Isa::kScalar)
      .gemm_s8u8(a.data(), lda, panel.data(), want.data(), ldc, m, k, limits.data(), 255,
                 accumulate);
  gemm_s8u8(a.data(), lda, panel.data(), got.data(), ldc, m, k,
            rng.below(2) ? limits.data() : nullptr, 255, accumulate);
  ASSERT_EQ(got, want) << m << " x " << k;
  ASSERT_EQ(unit.faults, 0);
  ASSERT_FALSE(unit.configured) << "tiles left in use";
}

TEST(AmxEmulation, EqualsScalar) {
  Rng rng(1);
  for (const int64_t m : {0, 1, 15, 16, 17, 31, 32, 33, 48, 63, 64, 80})
    for (const int64_t k : {0, 4, 60, 64, 68, 128, 192, 256, 316})
      for (const int accumulate : {0, 1}) check(m, k, accumulate, rng);
}

TEST(AmxEmulation, TilesAreConfiguredOnceACallAndOnlyForWholeTiles) {
  Rng rng(2);
  unit.configurations = 0;
  check(15, 256, 0, rng);
  check(64, 60, 0, rng);
  EXPECT_EQ(unit.configurations, 0);
  check(100, 300, 0, rng);
  EXPECT_EQ(unit.configurations, 1);
}

TEST(AmxEmulation, PeakCountsItsOperations) {
  EXPECT_EQ(peak_dot_s8u8(3, 0), 3 * 4 * 32768);
  EXPECT_EQ(peak_dot_s8u8(3, 1), 3 * 6 * 32768);
  EXPECT_EQ(unit.faults, 0);
  EXPECT_FALSE(unit.configured);
}

}  // namespace
}  // namespace stamp
