#pragma once
// Values that several commands name alike.
#include <filesystem>

#include "stamp/core/options.h"
#include "stamp/nn/linear.h"

namespace stamp {

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
/// How hidden states go from one process of a pipeline to the next.
inline constexpr const char* kLinkBitsHelp =
    "pipeline: bits of hidden states between processes: 2 to 8 (transformed and packed), 16 "
    "(bf16), "
    "32 (fp32)";

/// A recipe without a name stands for the one that the weights of `model` were stored with, or
/// bf16.
void complete_recipe(Recipe& recipe, const std::filesystem::path& model);
inline Recipe unnamed_recipe() { return {.name = ""}; }

}  // namespace stamp
