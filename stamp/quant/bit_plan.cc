#include "stamp/quant/bit_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "stamp/core/error.h"

namespace stamp {
namespace {

std::vector<Band> block_bands(const TokenSpec& spec, int64_t tokens) {
  return sequence_transform(spec.sequence.transform).bands(tokens, block_params(spec, tokens));
}

/// Mean of `values` over the real interval [begin, end) of indices.
double interval_mean(std::span<const float> values, double begin, double end) {
  double sum = 0;
  for (auto i = static_cast<size_t>(begin); i < values.size() && static_cast<double>(i) < end;
       ++i) {
    const auto left = static_cast<double>(i);
    sum += values[i] * (std::min(end, left + 1) - std::max(begin, left));
  }
  return sum / (end - begin);
}

/// r^2 of every band of a block of `tokens` rows: sub-band by sub-band when the calibrated block
/// has as many, by relative position otherwise.
std::vector<double> band_weights(const TokenSpec& spec, std::span<const Band> bands, int64_t tokens,
                                 std::span<const float> range2) {
  const auto calibrated_tokens = static_cast<int64_t>(range2.size());
  const std::vector<Band> calibrated = block_bands(spec, calibrated_tokens);
  const double ratio = static_cast<double>(calibrated_tokens) / static_cast<double>(tokens);
  std::vector<double> weights;
  for (size_t b = 0; b < bands.size(); ++b) {
    const bool same = calibrated.size() == bands.size();
    const Band& band = same ? calibrated[b] : bands[b];
    const double scale = same ? 1 : ratio, first = static_cast<double>(band.first) * scale;
    weights.push_back(
        interval_mean(range2, first, first + static_cast<double>(band.count) * scale));
  }
  return weights;
}

/// Data bits of a block under two_level or fraction, sinks included.
double two_level_bits(const TokenSpec& spec, int64_t tokens, int64_t skip) {
  const int64_t high = std::max<int64_t>(0, high_rows(spec.plan, tokens) - skip);
  return static_cast<double>(skip * kSinkBits + high * spec.plan.high_bits +
                             (tokens - high) * spec.bits);
}

std::vector<uint8_t> waterfill_rows(const TokenSpec& spec, int64_t tokens, int64_t skip,
                                    std::span<const float> range2) {
  if (range2.empty()) {
    throw_argument(
        "bit plan: waterfill needs calibrated row ranges, got none; calibrate the recipe first");
  }
  const double total = spec.plan.average_bits > 0
                           ? spec.plan.average_bits * static_cast<double>(tokens)
                           : two_level_bits(spec, tokens, skip);
  const int64_t budget = static_cast<int64_t>(std::floor(total + 1e-6)) - skip * kSinkBits;
  const std::vector<Band> bands = block_bands(spec, tokens);
  const std::vector<double> weights = band_weights(spec, bands, tokens, range2);
  std::vector<double> energies = weights;
  for (double& energy : energies) energy *= kEnergyPerRange2;
  std::vector<int> widths(bands.size(), spec.plan.min_bits);
  if (spec.plan.min_bits == 0 || budget < tokens * spec.plan.min_bits)
    widths = waterfill(bands, weights, energies, budget, spec.plan.min_bits);
  std::vector<int> rows;
  std::vector<double> row_weights;
  for (size_t b = 0; b < bands.size(); ++b) {
    rows.insert(rows.end(), static_cast<size_t>(bands[b].count), widths[b]);
    row_weights.insert(row_weights.end(), static_cast<size_t>(bands[b].count), weights[b]);
  }
  spend_bits(rows, row_weights, budget - std::accumulate(rows.begin(), rows.end(), int64_t{0}));
  return {rows.begin(), rows.end()};
}

}  // namespace

int64_t high_rows(const PlanSpec& plan, int64_t tokens) {
  if (plan.kind == "two_level") return std::min<int64_t>(plan.high_tokens, tokens);
  if (plan.kind != "fraction" && tokens > plan.high_tokens) return plan.high_tokens;
  return std::max<int64_t>(1, tokens / 32);
}

std::vector<uint8_t> row_bits(const TokenSpec& spec, int64_t tokens, int64_t skip,
                              std::span<const float> range2) {
  const PlanSpec& plan = spec.plan;
  if (plan.kind == "waterfill") return waterfill_rows(spec, tokens, skip, range2);
  std::vector<uint8_t> rows(static_cast<size_t>(tokens), static_cast<uint8_t>(spec.bits));
  if (plan.kind == "uniform") return rows;
  const int64_t protected_rows =
      plan.kind == "two_level" ? plan.high_tokens : high_rows(plan, tokens);
  const int64_t high = std::clamp<int64_t>(protected_rows - skip, 0, tokens);
  std::fill_n(rows.begin(), high, static_cast<uint8_t>(plan.high_bits));
  return rows;
}

double expected_error(std::span<const uint8_t> bits, std::span<const float> range2) {
  double sum = 0;
  for (size_t i = 0; i < bits.size(); ++i) {
    const double steps = static_cast<double>((1 << bits[i]) - 1);
    sum += range2[i] * (bits[i] == 0 ? kEnergyPerRange2 : 1 / (steps * steps));
  }
  return sum;
}

int block_levels(const TokenSpec& spec, int64_t tokens) {
  const SequenceTransform& transform = sequence_transform(spec.sequence.transform);
  if (!transform.has_levels) return 0;
  if (spec.sequence.levels > 0) return spec.sequence.levels;
  return auto_levels(transform, tokens, high_rows(spec.plan, tokens), spec.sequence.grid_width);
}

TransformParams block_params(const TokenSpec& spec, int64_t tokens,
                             std::shared_ptr<const KltBasis> basis) {
  TransformParams params(block_levels(spec, tokens));
  params.grid_width = spec.sequence.grid_width;
  params.klt_tokens = spec.sequence.klt_tokens;
  params.basis = std::move(basis);
  return params;
}

}  // namespace stamp
