#pragma once
// Small reproducible random numbers: the same seed gives the same stream on every machine.
#include <cstdint>

namespace stamp {

/// SplitMix64 (Steele, Lea, Flood 2014). Not for cryptography.
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}
  uint64_t next();
  /// Uniform in [0, 1), 53 bits.
  double uniform();
  /// Uniform in [0, bound); bound >= 1.
  uint64_t below(uint64_t bound);
  /// Standard normal (Box-Muller).
  double normal();

 private:
  uint64_t state_;
};

}  // namespace stamp
