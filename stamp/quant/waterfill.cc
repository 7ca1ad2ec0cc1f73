// Reverse water-filling over integer widths, exactly (STAMP section 2).
#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>

#include "stamp/core/error.h"
#include "stamp/quant/bit_plan.h"

namespace stamp {
namespace {

/// Error of one row of weight 1: 1 / (2^bits - 1)^2.
double unit_error(int bits) {
  const double steps = static_cast<double>((1 << bits) - 1);
  return 1 / (steps * steps);
}

struct Problem {
  std::span<const Band> bands;
  std::span<const double> weight, energy;
  int64_t budget;
  int min_bits, max_bits;

  double error(size_t band, int bits) const {
    return static_cast<double>(bands[band].count) *
           (bits == 0 ? energy[band] : weight[band] * unit_error(bits));
  }
  bool allows(int bits) const { return bits == 0 ? min_bits == 0 : bits >= 2; }
};

void check_problem(const Problem& problem) {
  const auto& [bands, weight, energy, budget, min_bits, max_bits] = problem;
  if (weight.size() != bands.size() || (min_bits == 0 && energy.size() != bands.size())) {
    throw_argument(
        "waterfill: expected {} weights (and energies when widths may be 0), got {} and {}",
        bands.size(), weight.size(), energy.size());
  }
  if ((min_bits != 0 && min_bits < 2) || max_bits < std::max(2, min_bits) || max_bits > 8) {
    throw_argument(
        "waterfill: expected min_bits 0 or 2 to max_bits and max_bits up to 8, got {} and {}",
        min_bits, max_bits);
  }
  int64_t rows = 0;
  for (size_t b = 0; b < bands.size(); ++b) {
    const bool valid = std::isfinite(weight[b]) && weight[b] >= 0 &&
                       (min_bits > 0 || (std::isfinite(energy[b]) && energy[b] >= 0));
    if (!valid || bands[b].count < 1) {
      throw_argument(
          "waterfill: band {}: expected rows and finite weights >= 0, got {} rows, weight {}", b,
          bands[b].count, weight[b]);
    }
    rows += bands[b].count;
  }
  if (budget < rows * min_bits) {
    throw_argument("waterfill: a budget of {} bits is too small for {} rows of at least {} bits",
                   budget, rows, min_bits);
  }
}

/// Single rows, widths without gaps: the error is convex in each width, so the best next bit is
/// always right.
std::vector<int> greedy(const Problem& problem) {
  std::vector<int> bits(problem.bands.size(), problem.min_bits);
  spend_bits(bits, problem.weight,
             problem.budget - static_cast<int64_t>(bits.size()) * problem.min_bits,
             problem.max_bits);
  return bits;
}

/// best[b][used]: smallest error of the first b bands with at most `used` bits; choice remembers
/// the last width.
std::vector<int> dynamic_program(const Problem& problem) {
  const size_t bands = problem.bands.size();
  int64_t rows = 0;
  for (const Band& band : problem.bands) rows += band.count;
  const auto cells = static_cast<size_t>(std::min(problem.budget, rows * problem.max_bits)) + 1;
  std::vector<double> best(cells, 0.0), next(cells);
  std::vector<uint8_t> choice(bands * cells);
  for (size_t b = 0; b < bands; ++b) {
    std::fill(next.begin(), next.end(), std::numeric_limits<double>::infinity());
    for (int bits = problem.min_bits; bits <= problem.max_bits; ++bits) {
      if (!problem.allows(bits)) continue;
      const auto cost = static_cast<size_t>(problem.bands[b].count * bits);
      const double error = problem.error(b, bits);
      for (size_t used = cost; used < cells; ++used) {
        if (best[used - cost] + error < next[used]) {
          next[used] = best[used - cost] + error;
          choice[b * cells + used] = static_cast<uint8_t>(bits);
        }
      }
    }
    best.swap(next);
  }
  std::vector<int> widths(bands);
  size_t used = cells - 1;
  for (size_t b = bands; b-- > 0;) {
    widths[b] = choice[b * cells + used];
    used -= static_cast<size_t>(problem.bands[b].count * widths[b]);
  }
  return widths;
}

}  // namespace

void spend_bits(std::span<int> bits, std::span<const double> weight, int64_t budget, int max_bits) {
  struct Gain {
    double value;
    size_t row;
    bool operator<(const Gain& other) const {
      return value != other.value ? value < other.value : row > other.row;
    }
  };
  const auto gain = [&](size_t row) {
    return Gain{weight[row] * (unit_error(bits[row]) - unit_error(bits[row] + 1)), row};
  };
  std::priority_queue<Gain> gains;
  for (size_t row = 0; row < bits.size(); ++row)
    if (bits[row] >= 2 && bits[row] < max_bits) gains.push(gain(row));
  for (; budget > 0 && !gains.empty(); --budget) {
    const size_t row = gains.top().row;
    gains.pop();
    if (++bits[row] < max_bits) gains.push(gain(row));
  }
}

std::vector<int> waterfill(std::span<const Band> bands, std::span<const double> weight,
                           std::span<const double> energy, int64_t budget, int min_bits,
                           int max_bits) {
  const Problem problem{bands, weight, energy, budget, min_bits, max_bits};
  check_problem(problem);
  const bool single =
      std::all_of(bands.begin(), bands.end(), [](const Band& band) { return band.count == 1; });
  return single && min_bits >= 2 ? greedy(problem) : dynamic_program(problem);
}

}  // namespace stamp
