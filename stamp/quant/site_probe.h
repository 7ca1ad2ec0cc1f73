#pragma once
// What has to be known of a tensor before the ranges of L X can be seen: the covariance that KLT
// diagonalises, and how many tokens L should leave out.
#include <vector>

#include "stamp/quant/calibration.h"

namespace stamp {

/// A token is massive when its largest magnitude exceeds that of the median token by this factor:
/// its energy is then that of a whole block of 64 others.
inline constexpr double kMassiveRatio = 8;

/// True when a SiteCollector for `spec` needs what a SiteProbe finds.
bool needs_probe(const TokenSpec& spec);

class SiteProbe {
 public:
  /// Parameters as SiteCollector's.
  SiteProbe(const TokenSpec& spec, std::string center);
  /// As SiteCollector::add(); `x` is scratch.
  void add(FloatView x, int64_t position);
  /// `covariance` for klt. `skip_tokens`: up to the last token that was massive in at least half of
  /// the windows that showed it; spec.sequence.skip_tokens unless that is kDetectSinks.
  SiteStatistics finish() const;

 private:
  void add_massive(ConstFloatView x, int64_t position);
  void add_covariance(FloatView x, int64_t position);
  void subtract_mean(FloatView x);

  TokenSpec spec_;
  bool centered_;
  int64_t block_tokens_, blocks_ = 0, tokens_ = 0, beginnings_ = 0;
  std::vector<double> sum_, covariance_;
  std::vector<int64_t> massive_;  // per first token: windows
};

/// `spec` with what the probe found in the place of kDetectSinks.
TokenSpec with_sinks(TokenSpec spec, const SiteStatistics& statistics);

}  // namespace stamp
