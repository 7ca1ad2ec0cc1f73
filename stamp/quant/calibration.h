#pragma once
// What one pass over a calibration text leaves behind: means and ranges per quantized tensor, never
// the data.
#include <map>
#include <string>
#include <vector>

#include "stamp/quant/recipe.h"
#include "stamp/quant/token_quantizer.h"

namespace stamp {

/// Statistics of one quantized tensor (the input of a group of linears, or K or V of a layer).
struct SiteStatistics {
  std::vector<float> mean;  // per channel, sinks excluded; empty when the recipe does not center
  std::vector<float>
      range2;           // r_i^2 of each row of L X of one transform block, averaged over windows
  bool center = false;  // static centering pays here (or was asked for)
  std::vector<float> scale;  // parts of a calibrated FeatureMap; empty: none
  Matrix left, right;
  std::vector<float> clip;         // learned shares of both ends of the range; empty: 1 and 1
  std::vector<float> weight_clip;  // the same for each row of the site's weights, one after another
};
/// Keyed by site: "layers.0.attn_in", "layers.0.o_in", "layers.0.mlp_in", "layers.0.down_in",
/// "layers.0.k", "layers.0.v".
using Calibration = std::map<std::string, SiteStatistics>;

/// Accumulates the statistics of one site over windows of equal length.
class SiteCollector {
 public:
  /// `center` as in the recipe; for K and V it is "none" and every window is one KV block.
  SiteCollector(const TokenSpec& spec, std::string center);
  /// One window [tokens, cols] (already in the rotated basis), starting at absolute token
  /// `position`; `group` > 0 for K and V: columns of a head. `x` is scratch: destroyed. Blocks
  /// shorter than block_tokens, or than the first window when that is 0, do not count for range2.
  /// Throws std::invalid_argument when cols differ between windows.
  void add(FloatView x, int64_t position, int64_t group = 0);
  /// range2 is that of centered rows when `center` is true. "auto" centers where the expected error
  /// of the plan, sum_i r_i^2 / (2^b_i - 1)^2, is lower. Empty statistics when nothing was added.
  SiteStatistics finish() const;

 private:
  void add_to_mean(ConstFloatView x, int64_t position);
  void add_ranges(ConstFloatView transformed, int64_t sinks, int64_t group);
  bool centering_pays(const SiteStatistics& plain, const SiteStatistics& centered) const;

  TokenSpec spec_;
  std::string center_;
  TokenQuantizer transform_;
  int64_t block_tokens_;  // 0 until the first window when the recipe leaves it open
  std::vector<double> sum_, range2_, centered_range2_;
  int64_t tokens_ = 0, blocks_ = 0, sinks_ = 0;
};

}  // namespace stamp
