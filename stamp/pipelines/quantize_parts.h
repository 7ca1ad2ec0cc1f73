#pragma once
// What quantize() and estimate_quantize() share.
#include <memory>

#include "stamp/pipelines/quantize.h"
#include "stamp/pipelines/quantize_plan.h"

namespace stamp {

/// The model; throws as quantize() when it or the recipe cannot be used.
std::shared_ptr<const ModelSource> open_plain_source(const QuantizeOptions& options);

/// The sizes in an estimate; no memory, no time.
QuantizeEstimate sizes_of(const QuantizeOptions& options, const ModelSource& source,
                          const OutputPlan& plan);

}  // namespace stamp
