#pragma once
// Integer bit widths per transformed row (STAMP section 2).
#include <cstdint>
#include <span>
#include <vector>

#include "stamp/quant/recipe.h"
#include "stamp/quant/sequence_transform.h"

namespace stamp {

/// Widths that minimise sum_b count_b * weight_b / (2^bits_b - 1)^2 (0 bits: count_b * energy_b instead) under
/// sum_b count_b * bits_b <= budget, bits in [min_bits, max_bits]; min_bits 0 allows 0 but not 1-bit... widths
/// are {0} + [2, 8] then. Exact: greedy for bands of one row, dynamic programming over bands otherwise.
/// `weight`: squared min-max range r_i^2 per band; `energy`: mean energy per row of the band divided by the
/// same constants as `weight` so that both are comparable (may be empty when min_bits > 0). Throws
/// std::invalid_argument when the budget is below the minimum or sizes differ.
std::vector<int> waterfill(std::span<const Band> bands, std::span<const double> weight,
                           std::span<const double> energy, int64_t budget, int min_bits,
                           int max_bits = 8);

/// Widths of all `tokens` rows of L X for one transform block. `range2` (may be empty unless waterfill) holds
/// calibrated r_i^2 by relative position: any length, index i/n is resampled per band.
/// two_level counts the skipped rows into high_tokens; throws std::invalid_argument when the block has at most
/// high_tokens rows (hint: fraction).
std::vector<uint8_t> row_bits(const TokenSpec& spec, int64_t tokens, int64_t skip,
                              std::span<const float> range2);

/// Haar levels for a block: spec.sequence.levels, or auto from the plan's high rows.
int block_levels(const TokenSpec& spec, int64_t tokens);

}  // namespace stamp
