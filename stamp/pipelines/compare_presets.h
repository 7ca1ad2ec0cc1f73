#pragma once
// Named grids of compare() and compare_images().
#include <functional>
#include <string>

#include "stamp/pipelines/compare.h"
#include "stamp/pipelines/image_compare.h"

namespace stamp {

/// demo: what `make demo` runs, small enough for two cores and a few minutes. paper-llm: the
/// paper's table (METHODS 12), windows of 2048 tokens, BOS in the first one only. What the caller
/// set himself stays: `given` is asked with names of visit_options() and "bits". An empty preset
/// changes nothing; other names throw std::invalid_argument.
void apply_preset(CompareOptions& options, const std::string& preset,
                  const std::function<bool(const std::string&)>& given);
/// demo: what `make demo` runs on the bundled pipeline, drawing the first lines of its prompts.txt.
/// paper-lvm: the paper's table, which is the default. Otherwise as above.
void apply_preset(ImageCompareOptions& options, const std::string& preset,
                  const std::function<bool(const std::string&)>& given);

}  // namespace stamp
