#pragma once
// Tile operations of AMX-INT8 by tile number. Not GCC's intrinsics: those take only literal numbers
// and do not say what memory they read.
#include <cstdint>

namespace stamp {
namespace {

template <class Config>
inline void tile_configure(const Config& config) {
  __asm__ volatile("ldtilecfg %0" ::"m"(config));
}
/// Back to the initial state: tiles in use would be saved at every context switch.
inline void tile_release() { __asm__ volatile("tilerelease"); }

template <int Tile>
inline void tile_zero() {
  __asm__ volatile("tilezero %%tmm%c0" ::"i"(Tile));
}
/// `stride` in bytes.
template <int Tile>
inline void tile_load(const void* from, int64_t stride) {
  __asm__ volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(Tile), "r"(from), "r"(stride) : "memory");
}
template <int Tile>
inline void tile_store(void* to, int64_t stride) {
  __asm__ volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(Tile), "r"(to), "r"(stride) : "memory");
}
/// Sums += signed Rows x unsigned Columns.
template <int Sums, int Rows, int Columns>
inline void tile_dot() {
  __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sums), "i"(Rows), "i"(Columns));
}

}  // namespace
}  // namespace stamp
