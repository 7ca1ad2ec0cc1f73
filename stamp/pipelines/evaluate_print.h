#pragma once
// Parts of results that several commands share.
#include "stamp/pipelines/evaluate.h"

namespace stamp {

/// How a quantized recipe ran: " (integer)" or " (simulated quantization)".
std::string_view execution_label(bool simulated);
/// "bf16" or "fp32".
std::string_view compute_name(Compute compute);
Json scores_to_json(const Scores& scores);
Json linears_to_json(const std::vector<LinearSqnr>& linears);
/// JSON has no NaN or infinity: null stands for them.
Json finite_or_null(double value);

}  // namespace stamp
