#pragma once
// Values that several commands name alike.
#include <filesystem>

#include "stamp/core/options.h"
#include "stamp/models/model.h"

namespace stamp {

inline constexpr const char* kLinkBitsHelp =
    "pipeline: bits of hidden states between processes: 2 to 8 (transformed and packed), 16 "
    "(bf16), 32 (fp32)";

inline NamedValues<Compute> compute_values(Compute& compute) {
  return named_values(compute, {{"fp32", Compute::kF32}, {"bf16", Compute::kBF16}});
}
inline NamedValues<Execution> execution_values(Execution& execution) {
  return named_values(execution,
                      {{"integer", Execution::kInteger}, {"simulated", Execution::kSimulated}});
}
inline NamedValues<bool> bos_values(bool& every_window) {
  return named_values(every_window, {{"every", true}, {"first", false}});
}
/// Of a model that the processes of mpirun share, and how hidden states go from one to the next.
template <class Options, class Visitor>
void visit_split_options(Options& o, Visitor&& visit) {
  visit(
      "split",
      named_values(o.split, {{"tensor", ModelSplit::kTensor}, {"pipeline", ModelSplit::kPipeline}}),
      "what each process of mpirun has: a part of the heads and channels, or of the layers");
  visit("link_bits", o.link_bits, kLinkBitsHelp);
}

/// A recipe without a name stands for the one that the weights of `model` were stored with, or
/// bf16.
void complete_recipe(Recipe& recipe, const std::filesystem::path& model);
inline Recipe unnamed_recipe() { return {.name = ""}; }

}  // namespace stamp
