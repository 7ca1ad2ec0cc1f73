#pragma once
// What one pass over a calibration text leaves behind: means and ranges per quantized tensor, never the data.
#include <map>
#include <string>
#include <vector>

#include "stamp/quant/recipe.h"
#include "stamp/quant/token_quantizer.h"

namespace stamp {

/// Statistics of one quantized tensor (the input of a group of linears, or K or V of a layer).
struct SiteStatistics {
  std::vector<float> mean;      // per channel (linear inputs only)
  std::vector<float> range2;    // r_i^2 of each row of L X of one transform block, averaged over windows
  bool center = false;          // static centering pays here (or was asked for)
};
/// Keyed by site: "layers.0.attn_in", "layers.0.o_in", "layers.0.mlp_in", "layers.0.down_in",
/// "layers.0.k", "layers.0.v".
using Calibration = std::map<std::string, SiteStatistics>;

/// Accumulates the statistics of one site over windows.
class SiteCollector {
 public:
  /// `feature`/`center` as in the recipe; for K and V center is "none".
  SiteCollector(const TokenSpec& spec, std::string center);
  /// One window (already in the rotated basis), starting at absolute token `position`. `x` is scratch: destroyed.
  void add(FloatView x, int64_t position, int64_t group = 0);
  SiteStatistics finish() const;

 private:
  TokenSpec spec_;
  std::string center_;
  std::vector<double> sum_, range2_, centered_range2_;
  int64_t tokens_ = 0, blocks_ = 0;
};

}  // namespace stamp
