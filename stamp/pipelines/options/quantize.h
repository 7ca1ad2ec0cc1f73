#pragma once
// The options of quantize(); see core/options.h.
#include "stamp/core/options.h"
#include "stamp/pipelines/quantize.h"

namespace stamp {

template <class Visitor>
void visit_options(QuantizeOptions& o, Visitor&& visit) {
  visit.argument("model", o.model, "Hugging Face directory, or GGUF file");
  visit("recipe", o.recipe, "preset name or JSON file (see 'stamp recipe')");
  visit("out", o.out, "directory to write; grows as OUT.partial");
  visit("calibration", o.calibration,
        "text for recipes that need one (default: MODEL/calibration.txt)");
  visit("force", o.force, "replace the directory when it exists");
}

}  // namespace stamp
