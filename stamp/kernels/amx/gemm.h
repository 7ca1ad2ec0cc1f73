#pragma once
// gemm_s8u8 in tiles of 16 rows of 64 bytes. Included after the tile operations (tiles.h, or the
// tests' emulation of them) and after gemm_rest(), a gemm_s8u8 for the rows and the k that do not
// fill a tile: one tile configuration serves every call.
#include <cstdint>

namespace stamp {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileK = 64;  // bytes of a row
constexpr int64_t kTileColumns = 16;
constexpr int64_t kPanelColumns = 64;
constexpr int64_t kPanelStride = 4 * kPanelColumns;  // bytes between rows of a panel tile

/// The operand of ldtilecfg.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileConfig kWholeTiles;

/// c[16 Halves, 32 columns] (+)= a[16 Halves, k] panel: tiles 0 to 3 are sums, 4 and 5 hold rows of
/// a, 6 and 7 columns of the panel.
template <int Halves>
void tile_block(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c, int64_t ldc,
                int64_t k, bool accumulate) {
  const int8_t* low_a = a + kTileRows * lda;
  int32_t* low_c = c + kTileRows * ldc;
  const int64_t c_stride = ldc * static_cast<int64_t>(sizeof(int32_t));
  tile_zero<0>();
  tile_zero<1>();
  tile_zero<2>();
  tile_zero<3>();
  if (accumulate) {
    tile_load<0>(c, c_stride);
    tile_load<1>(c + kTileColumns, c_stride);
    if constexpr (Halves == 2) {
      tile_load<2>(low_c, c_stride);
      tile_load<3>(low_c + kTileColumns, c_stride);
    }
  }
  for (int64_t p = 0; p < k; p += kTileK) {
    const uint8_t* columns = panel + p * kPanelColumns;
    tile_load<4>(a + p, lda);
    tile_load<6>(columns, kPanelStride);
    tile_dot<0, 4, 6>();
    tile_load<7>(columns + 4 * kTileColumns, kPanelStride);
    tile_dot<1, 4, 7>();
    if constexpr (Halves == 2) {
      tile_load<5>(low_a + p, lda);
      tile_dot<2, 5, 6>();
      tile_dot<3, 5, 7>();
    }
  }
  tile_store<0>(c, c_stride);
  tile_store<1>(c + kTileColumns, c_stride);
  if constexpr (Halves == 2) {
    tile_store<2>(low_c, c_stride);
    tile_store<3>(low_c + kTileColumns, c_stride);
  }
}

/// The whole tiles: m a multiple of 16, k of 64.
void gemm_tiles(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c, int64_t ldc,
                int64_t m, int64_t k, bool accumulate) {
  tile_configure(kWholeTiles);
  for (int64_t i = 0; i < m; i += 2 * kTileRows)
    for (int64_t j = 0; j < kPanelColumns; j += 2 * kTileColumns) {
      const int8_t* rows = a + i * lda;
      int32_t* out = c + i * ldc + j;
      if (m - i >= 2 * kTileRows)
        tile_block<2>(rows, lda, panel + 4 * j, out, ldc, k, accumulate);
      else
        tile_block<1>(rows, lda, panel + 4 * j, out, ldc, k, accumulate);
    }
  tile_release();
}

void gemm_s8u8(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c, int64_t ldc,
               int64_t m, int64_t k, const uint8_t* a_limit, int u_limit, int accumulate) noexcept {
  const int64_t tiled_k = k / kTileK * kTileK;
  const int64_t tiled_m = tiled_k ? m / kTileRows * kTileRows : 0;
  if (tiled_m) gemm_tiles(a, lda, panel, c, ldc, tiled_m, tiled_k, accumulate != 0);
  if (tiled_m && tiled_k < k)
    gemm_rest(a + tiled_k, lda, panel + tiled_k * kPanelColumns, c, ldc, tiled_m, k - tiled_k,
              a_limit, u_limit, 1);
  if (tiled_m < m)
    gemm_rest(a + tiled_m * lda, lda, panel, c + tiled_m * ldc, ldc, m - tiled_m, k,
              a_limit ? a_limit + tiled_m : nullptr, u_limit, accumulate);
}

/// See kernels.def.
int64_t peak_dot_s8u8(int64_t iterations, int variant) noexcept {
  constexpr int64_t kOperations = 2 * kTileRows * kTileColumns * kTileK;
  tile_configure(kWholeTiles);
  for (int64_t i = 0; i < iterations; ++i) {
    tile_dot<0, 6, 7>();
    tile_dot<1, 6, 7>();
    tile_dot<2, 6, 7>();
    tile_dot<3, 6, 7>();
    if (variant == 0) continue;
    tile_dot<4, 6, 7>();
    tile_dot<5, 6, 7>();
  }
  tile_release();
  return iterations * (variant == 0 ? 4 : 6) * kOperations;
}

}  // namespace
}  // namespace stamp
