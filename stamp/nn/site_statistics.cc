#include "stamp/nn/site_statistics.h"

#include "stamp/core/error.h"
#include "stamp/quant/klt.h"
#include "stamp/quant/site_probe.h"

namespace stamp {

const SiteStatistics& statistics_of(const std::string& site, const Calibration* calibration) {
  if (!calibration)
    throw_runtime("{}: the recipe needs calibrated statistics, but no calibration was given", site);
  const auto found = calibration->find(site);
  if (found == calibration->end())
    throw_runtime("{}: the calibration has no statistics of this site", site);
  return found->second;
}

TokenQuantizer make_token_quantizer(const TokenSpec& spec, const std::string& site,
                                    const Calibration* calibration) {
  const bool calibrated = spec.plan.kind == "waterfill" || needs_probe(spec);
  if (spec.bits == 16 || (!calibrated && (calibration == nullptr || !calibration->contains(site))))
    return TokenQuantizer(spec);
  const SiteStatistics& statistics = statistics_of(site, calibration);
  TokenSpec own = with_sinks(spec, statistics);
  if (statistics.clip.size() == 2) {
    own.quantizer.low_share = statistics.clip[0];
    own.quantizer.high_share = statistics.clip[1];
  }
  return TokenQuantizer(
      own, spec.plan.kind == "waterfill" ? statistics.range2 : std::vector<float>{},
      spec.sequence.transform == "klt" ? std::make_shared<const KltBasis>(statistics.covariance)
                                       : nullptr);
}

}  // namespace stamp
