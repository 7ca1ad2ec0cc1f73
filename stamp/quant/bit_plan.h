#pragma once
// Integer bit widths per transformed row (STAMP section 2).
#include <cstdint>
#include <span>
#include <vector>

#include "stamp/quant/recipe.h"
#include "stamp/quant/sequence_transform.h"

namespace stamp {

/// Width of sink rows.
inline constexpr int kSinkBits = 8;

/// Energy of a row in units of its squared range r^2 when nothing better is known: a Gaussian row
/// spans about six standard deviations, and rounding costs step^2 / 12, so dropping the row costs
/// 12 / 6^2 of r^2.
inline constexpr double kEnergyPerRange2 = 12.0 / 36.0;

/// Widths that minimise sum_b count_b * weight_b / (2^bits_b - 1)^2 (0 bits: count_b * energy_b
/// instead) under sum_b count_b * bits_b <= budget, bits in [min_bits, max_bits]; min_bits 0 allows
/// 0 but not 1: widths are {0} + [2, 8] then. Exact: greedy for single rows of at least 2 bits,
/// dynamic programming over bands otherwise (O(bands * budget * widths) time, O(bands * budget)
/// bytes). `weight`: squared min-max range r_i^2 per band; `energy`: mean energy per row of the
/// band divided by the same constants as `weight` so that both are comparable (may be empty when
/// min_bits > 0). Throws std::invalid_argument when the budget is below the minimum, sizes differ
/// or a weight is negative or not finite.
std::vector<int> waterfill(std::span<const Band> bands, std::span<const double> weight,
                           std::span<const double> energy, int64_t budget, int min_bits,
                           int max_bits = 8);

/// Gives up to `budget` further bits to single rows of at least 2 bits, always the one that lowers
/// weight / (2^bits - 1)^2 most, the earlier one on ties: exact when no row was given too many.
/// Sizes must agree.
void spend_bits(std::span<int> bits, std::span<const double> weight, int64_t budget,
                int max_bits = 8);

/// Rows at high_bits in a block of `tokens` rows, sink rows included: plan.high_tokens (of
/// two_level: all rows of a shorter block), or for `fraction` and for shorter blocks of waterfill
/// tokens / 32 (at least 1).
int64_t high_rows(const PlanSpec& plan, int64_t tokens);

/// Widths of all `tokens` rows of L X for one transform block whose first `skip` tokens are sinks,
/// stored as extra 8-bit rows. `range2` (may be empty unless waterfill) holds calibrated r_i^2 by
/// relative position: any length, index i/n is resampled per band. waterfill: rows of a band count
/// alike; sum + 8 * skip is average_bits * tokens, rounded down (0: what two_level, or fraction in
/// short blocks, spends), so that one band at most has two widths, the larger one first. two_level
/// counts the skipped rows into high_tokens; a short prompt is therefore quantized at high_bits
/// throughout. Throws std::invalid_argument when waterfill lacks `range2`.
std::vector<uint8_t> row_bits(const TokenSpec& spec, int64_t tokens, int64_t skip,
                              std::span<const float> range2);

/// sum_i r_i^2 / (2^b_i - 1)^2: what row_bits' widths are expected to cost (same length as
/// `range2`).
double expected_error(std::span<const uint8_t> bits, std::span<const float> range2);

/// Wavelet levels for a block: spec.sequence.levels, or auto: the largest J with at least
/// high_rows() rows in A_J. 0 for transforms without levels.
int block_levels(const TokenSpec& spec, int64_t tokens);
/// All that the transform of such a block needs.
TransformParams block_params(const TokenSpec& spec, int64_t tokens,
                             std::shared_ptr<const KltBasis> basis = nullptr);

}  // namespace stamp
