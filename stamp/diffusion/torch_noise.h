#pragma once
// Normal noise equal (to 1e-5) to that of torch.randn with a CPU generator.
#include <cstdint>
#include <optional>
#include <random>
#include <span>

namespace stamp {

/// torch.Generator("cpu").manual_seed(seed) and what torch.randn(..., dtype=float32) draws from it:
/// Mersenne Twister, Box-Muller over groups of 16 values, or value by value in fp64 below 16.
class TorchNoise {
 public:
  explicit TorchNoise(uint64_t seed) : engine_(static_cast<uint32_t>(seed)) {}
  /// One call of torch.randn of out.size() values.
  void fill(std::span<float> out);

 private:
  float uniform();
  double wide_uniform();
  double wide_normal();
  void fill_group(float* out);

  std::mt19937 engine_;
  std::optional<double> spare_;
};

}  // namespace stamp
