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
  /// Of each row of L X of one transform block r_i^2, averaged over windows, times what its error
  /// costs after L^-1 (1 when L is orthonormal).
  std::vector<float> range2;
  /// klt: E[x_i x_j] over channels, windows and neighbouring tokens i, j; row-major, square.
  std::vector<float> covariance;
  int skip_tokens = 0;       // massive first tokens, where the recipe has them detected
  bool center = false;       // static centering pays here (or was asked for)
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
  /// `probed`: from an earlier pass where needs_probe(spec) (site_probe.h); it becomes a part of
  /// the result.
  SiteCollector(const TokenSpec& spec, std::string center, SiteStatistics probed = {});
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
  std::vector<float> costs(const std::vector<double>& range2) const;
  bool centering_pays(const SiteStatistics& plain, const SiteStatistics& centered) const;

  TokenSpec spec_;
  std::string center_;
  TokenQuantizer transform_;
  int64_t block_tokens_;  // 0 until the first window when the recipe leaves it open
  SiteStatistics probed_;
  std::vector<double> sum_, range2_, centered_range2_;
  int64_t tokens_ = 0, blocks_ = 0, sinks_ = 0;
};

}  // namespace stamp
