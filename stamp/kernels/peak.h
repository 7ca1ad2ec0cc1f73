#pragma once
// What a core can do at best, measured with loops that touch only registers, and whether that
// measurement can be believed.
#include <span>

#include "stamp/core/cpu_features.h"

namespace stamp {

/// Of one core. Operations count a multiply and an add apart.
struct Peak {
  double giga_ops = 0;  // per second
  double ghz = 0;       // clock, from a chain of additions of one cycle each
  double ops_per_cycle = 0;
  double expected = 0;  // operations per cycle that known processors do; 0: nothing is known
  /// Of what is expected; 1 where nothing is. Below 0.9 something was wrong with the measurement: a
  /// compiler that spills, or other programs on this core.
  double share() const { return expected > 0 ? ops_per_cycle / expected : 1.0; }
};

/// Products of 8-bit integers, as the inner loops of gemm_s8u8 do them, and fp32 multiply-adds.
/// Each takes about `seconds` and keeps the best of many short runs of two variants of the loop.
/// Throw std::invalid_argument unless has_isa(isa).
Peak measure_dot_peak(Isa isa, double seconds = 0.1);
Peak measure_fma_peak(Isa isa, double seconds = 0.1);

/// The rates of known processors, ascending: with one port or with two.
std::span<const double> known_dot_rates(Isa isa);
std::span<const double> known_fma_rates(Isa isa);
/// Which of `rates` a processor that reached `ops_per_cycle` must have: the lowest not exceeded by
/// more than 2 %, the highest if all are. 0 without rates. A loop at less than half its speed can
/// pass for a slower processor's; tools/check_no_spills.sh excludes the likeliest reason.
double expected_rate(std::span<const double> rates, double ops_per_cycle);

}  // namespace stamp
