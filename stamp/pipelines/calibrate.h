#pragma once
// One pass of a text through the plain model, keeping only the accumulators that recipes need.
#include <map>
#include <string>

#include "stamp/models/model.h"

namespace stamp {

struct CalibrateOptions {
  std::vector<int32_t> ids;  // calibration text, tokenized without BOS
  int32_t bos_id = -1;       // prepended to every window when >= 0
  int64_t context = 1024;    // window length: the one that will be evaluated
  int64_t max_windows = 0;   // 0: all
};

/// Statistics for every recipe of `recipes` that needs them, from a single pass; keyed by recipe
/// name.
std::map<std::string, Calibration> calibrate(std::shared_ptr<const ModelSource> source,
                                             const std::vector<Recipe>& recipes,
                                             const CalibrateOptions& options);

}  // namespace stamp
