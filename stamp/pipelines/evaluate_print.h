#pragma once
// Parts of JSON results that several commands share.
#include "stamp/pipelines/evaluate.h"

namespace stamp {

Json scores_to_json(const Scores& scores);
Json linears_to_json(const std::vector<LinearSqnr>& linears);
/// JSON has no NaN or infinity: null stands for them.
Json finite_or_null(double value);

}  // namespace stamp
