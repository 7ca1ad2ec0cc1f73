#pragma once
// Finding calibrated statistics.
#include <string>

#include "stamp/quant/calibration.h"

namespace stamp {

/// Statistics of `site`. Throws std::runtime_error when there is no calibration or it lacks the
/// site.
const SiteStatistics& statistics_of(const std::string& site, const Calibration* calibration);
/// The quantizer of one tensor, with the learned clipping that calibration may have. Throws as
/// statistics_of() when the plan or the transform is calibrated.
TokenQuantizer make_token_quantizer(const TokenSpec& spec, const std::string& site,
                                    const Calibration* calibration);

}  // namespace stamp
