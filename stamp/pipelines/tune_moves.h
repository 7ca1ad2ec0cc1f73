#pragma once
// What a search may change in a recipe.
#include <functional>
#include <string>
#include <vector>

#include "stamp/pipelines/tune.h"

namespace stamp {

struct TuneMove {
  std::string name;
  std::function<void(Recipe&)> apply;
};

/// `start` with this feature transform and L, at options.average_bits: waterfill, and two_level
/// with as many rows as the budget allows.
std::vector<Recipe> tune_candidates(const TuneOptions& options);
/// Groups of changes of which one at most is worth keeping, in the order in which they are tried.
/// Only those that change `recipe` and leave it valid; groups may be empty.
std::vector<std::vector<TuneMove>> tune_moves(const Recipe& recipe);
/// Another budget for the linear inputs: waterfill spends it, two_level protects fewer or more
/// rows; tensors with a budget of their own get as much more or less.
void set_average_bits(Recipe& recipe, double average_bits, int64_t context);

}  // namespace stamp
