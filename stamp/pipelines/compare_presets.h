#pragma once
// Named grids of compare().
#include <functional>
#include <string>

#include "stamp/pipelines/compare.h"

namespace stamp {

/// demo: what `make demo` runs, small enough for two cores and a few minutes. paper-llm: the
/// paper's table (METHODS 12), windows of 2048 tokens, BOS in the first one only. What the caller
/// set himself stays: `given` is asked with names of visit_options() and "bits". An empty preset
/// changes nothing; other names throw std::invalid_argument.
void apply_preset(CompareOptions& options, const std::string& preset,
                  const std::function<bool(const std::string&)>& given);

}  // namespace stamp
