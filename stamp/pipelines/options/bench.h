#pragma once
// The options of bench(), but for its recipes; see core/options.h.
#include <fmt/ranges.h>

#include "stamp/pipelines/bench.h"
#include "stamp/pipelines/image_bench.h"
#include "stamp/pipelines/options/values.h"
#include "stamp/pipelines/synthetic_model.h"

namespace stamp {

template <class Visitor>
void visit_options(BenchOptions& o, Visitor&& visit) {
  visit.argument("model", o.model, "Hugging Face directory, or GGUF file");
  visit("shape", o.shape,
        fmt::format("random weights: {} (language), {} (one image step), or a config.json",
                    fmt::join(shape_names(), ", "), fmt::join(image_shape_names(), ", ")));
  visit("prefill", o.prefill, "tokens of one pass (2048 unless --decode is given)");
  visit("decode", o.decode, "single tokens of one run");
  visit("depth", o.depth, "tokens in the cache before them");
  visit("linear", o.linear, "single linears: 2048x2048->8192 and 2048x8192->2048");
  visit("runs", o.runs, "timed runs, after one that is not");
  visit("compute", compute_values(o.compute),
        "arithmetic where nothing is quantized: fp32 or bf16");
  visit("execution", execution_values(o.execution),
        "quantized products on integers where the recipe allows, or simulated in fp32");
  visit_split_options(o, visit);
}

}  // namespace stamp
