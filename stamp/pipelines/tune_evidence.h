#pragma once
#include "stamp/pipelines/tune.h"

namespace stamp {

/// Measures tuning.best and its rivals on the held-out text options.text. Throws as evaluate();
/// when interrupted() what is measured so far is kept.
void add_evidence(Tuning& tuning);

}  // namespace stamp
