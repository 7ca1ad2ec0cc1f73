#pragma once
// Byte panels (see kernels.def) stored at fewer bits per code. A tile is 64 bytes of a panel, four
// k of 16 columns; a panel is a list of tiles in an order of its own, eight of which make a group.
#include <cstdint>

namespace stamp {

/// Some bits of the codes of tiles [first, first + tiles) of a group. In a stored byte, 8 / bits
/// tiles share the place, the first one in the lowest bits; ceil(tiles * bits / 8) times `bytes`
/// are stored.
struct PanelPlane {
  uint64_t mask = 0;  // bytes of a tile that have these bits; only theirs are stored, in order
  int32_t bytes = 0;  // how many they are; a multiple of 4
  uint8_t bits = 0;   // 1, 2 or 4
  uint8_t shift = 0;  // where the bits belong in a code
  uint8_t first = 0, tiles = 0;
  bool adds = false;  // to what an earlier plane left; else it is the first and has shift 0
  // The mask in two steps: the stored 4-byte words go to these lanes of the 16 in a tile, then byte
  // j of every 16 comes from byte spread[j] of them (128: zero).
  uint32_t lanes = 0;
  uint8_t spread[16] = {};

  bool operator==(const PanelPlane&) const = default;
};

/// Groups of eight tiles that are stored alike, one after the other, or one group of fewer.
struct PanelRun {
  int32_t tiles = 0;
  int32_t first_plane = 0, planes = 0;  // of a group, in the order in which they are stored
  bool clear = false;                   // all planes add, to zeros
};

}  // namespace stamp
