#pragma once
// How a closed block of 64 tokens lies in memory: integer codes, fp16 scales and u8 zero points,
// nothing else. Rows of L X are numbered by slot (kernels.def).
#include <array>
#include <vector>

#include "stamp/kernels/packed_panel.h"
#include "stamp/quant/token_quantizer.h"

namespace stamp {

inline constexpr int64_t kKvBlockTokens = 64;

/// Where slot `slot` of L X finds its row, and of what belongs to tokens (levels 0) its token.
int kv_slot_row(int levels, int slot);

/// True when the packed form covers blocks of 64 tokens in this quantizer: Haar or no transform,
/// head_dim and scale groups multiples of 4, fewer sinks than tokens in a block.
bool kv_packable(const TokenQuantizer& quantizer, int64_t head_dim);

/// One head's K or V. Its bytes are the packed panel and the sinks' codes (a byte each), further on
/// in the head the fp16 scales [groups][rows] and the zero points in the same order; rows are the
/// slots of at least one bit, then the sinks.
struct KvPartLayout {
  int64_t head_dim = 0, group = 0, groups = 0;  // columns of a scale group
  int levels = 0, sinks = 0;
  bool symmetric = false;
  std::array<uint8_t, kKvBlockTokens> bits{};    // per slot
  std::array<float, kKvBlockTokens> factor{};    // per slot: sqrt(1/2) per level it goes through
  std::array<uint8_t, kKvBlockTokens> middle{};  // symmetric: stored code of the value 0
  int rows = 0;                                  // slots with a scale
  int code_limit = 255;                          // 15 when no slot has more than four bits
  std::vector<PanelRun> runs;
  std::vector<PanelPlane> planes;
  std::vector<uint32_t> offsets;  // of the panel's tiles
  int64_t packed_bytes = 0;       // of the runs

  int64_t code_bytes() const { return packed_bytes + sinks * head_dim; }
  int64_t scale_count() const { return groups * (rows + sinks); }
  int64_t zero_count() const { return symmetric ? 0 : scale_count(); }
};

/// A head of a block: [scales of K, of V][codes of K][codes of V][zero points of K, of V]. A part
/// that is not packed has no bytes.
struct KvHeadLayout {
  KvPartLayout k, v;
  int64_t k_codes = 0, v_codes = 0, zeros = 0, bytes = 0;  // bytes is even

  BitCount count_bits() const;  // of both parts
};

/// The layout of a block whose first token is `first` (which says how many are sinks). Parts that
/// are not active stay empty. Throws std::invalid_argument where row_bits() does.
KvHeadLayout make_kv_layout(const TokenQuantizer& k, const TokenQuantizer& v, int64_t head_dim,
                            int64_t first);

/// Rows of a byte panel and back: K [head_dim / 4][64 slots][4], head_dim rounded up; V one panel
/// [16][64][4] for every 64 columns of the head.
int64_t kv_panel_bytes(bool values, int64_t head_dim);
inline int64_t kv_panel_index(bool values, int64_t slot, int64_t column) {
  return values ? column / 64 * 4096 + slot / 4 * 256 + column % 64 * 4 + slot % 4
                : column / 4 * 256 + slot * 4 + column % 4;
}

}  // namespace stamp
