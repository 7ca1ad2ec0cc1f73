#pragma once
// One pass of a text through the plain model, keeping only the accumulators that recipes need.
#include <functional>
#include <map>
#include <string>

#include "stamp/models/model.h"

namespace stamp {

struct CalibrateOptions {
  std::vector<int32_t> ids;  // calibration text, tokenized without BOS
  int32_t bos_id = -1;       // prepended to every window when >= 0
  int64_t context = 1024;    // window length: the one that will be evaluated
  int64_t max_windows = 0;   // 0: all
  /// Folder for what takes minutes to learn, so that an interrupted run continues; empty: none.
  std::filesystem::path cache;
};

/// Statistics for every recipe of `recipes` that needs them, from a single pass; keyed by recipe
/// name. The text passes through the reference recipe of the source.
std::map<std::string, Calibration> calibrate(std::shared_ptr<const ModelSource> source,
                                             const std::vector<Recipe>& recipes,
                                             const CalibrateOptions& options);

/// Equal for recipes that share their statistics.
std::string statistics_key(const Recipe& recipe);

/// Statistics for one recipe: those beside the stored weights when they were made for it, else from
/// a pass over the text that `text` gives, which is called only then. What stored weights have
/// merged into their biases stays as it was stored. Empty when the recipe needs none.
Calibration calibration_for(std::shared_ptr<const ModelSource> source, const Recipe& recipe,
                            const std::function<CalibrateOptions()>& text);

}  // namespace stamp
