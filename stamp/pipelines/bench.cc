#include "stamp/pipelines/bench.h"

#include <algorithm>
#include <optional>

#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/core/process.h"
#include "stamp/core/progress.h"
#include "stamp/models/stored_recipe.h"
#include "stamp/pipelines/bench_runner.h"

namespace stamp {
namespace {

constexpr int64_t kLeastProbe = int64_t{512} << 20;  // beyond any cache

void check_options(const BenchOptions& o) {
  if (o.recipes.empty() || o.recipes.size() > 2)
    throw_argument("bench: expected one or two recipes, got {}", o.recipes.size());
  if (o.runs < 1) throw_argument("bench: expected at least one run, got {}", o.runs);
  if (o.prefill < 0 || o.decode < 0 || o.depth < 0)
    throw_argument("bench: prefill, decode and depth may not be negative, got {}, {} and {}",
                   o.prefill, o.decode, o.depth);
  if (o.prefill == 0 && o.decode == 0 && !o.linear)
    throw_argument("bench: nothing to measure; give tokens to prefill or to decode");
  if (o.linear && communicator().size() > 1)
    throw_argument("bench: a single linear is measured in one process, not in {}",
                   communicator().size());
}

/// Stored weights serve several recipes; plain ones are converted by each.
bool same_weights(const Recipe& a, const Recipe& b) {
  try {
    check_same_weights(a, b, "bench");
  } catch (const std::invalid_argument&) {
    return false;
  }
  return true;
}

std::vector<BenchRunner> make_runners(const BenchOptions& options) {
  std::vector<BenchRunner> runners;
  std::shared_ptr<const ModelSource> source;
  for (Recipe recipe : options.recipes) {
    if (!options.shape.empty() && options.split == ModelSplit::kTensor)
      recipe.rotation_parts = communicator().size();
    const bool shared =
        source && (!options.model.empty() || same_weights(recipe, options.recipes.front()));
    if (!shared) source = open_bench_source(options, recipe);
    runners.emplace_back(options, recipe, source);
  }
  return runners;
}

/// Every runner once; the order is reversed every other time, so that none always runs on a warm
/// machine.
void run_all(std::vector<BenchRunner>& runners, const BenchOptions& options, int run) {
  for (size_t i = 0; i < runners.size(); ++i) {
    BenchRunner& runner = runners[run % 2 == 0 ? i : runners.size() - 1 - i];
    if (options.prefill > 0) runner.prefill(run > 0);
    if (options.decode > 0) runner.decode(run > 0);
  }
}

void measure_model(const BenchOptions& options, BenchResult& result) {
  std::vector<BenchRunner> runners = make_runners(options);
  std::optional<ReadBandwidth> bandwidth;
  Progress progress("bench", options.runs + 1, "runs");
  for (int run = 0; run <= options.runs && !result.partial; ++run) {
    run_all(runners, options, run);
    if (run == 0) result.peak_rss_bytes = peak_rss_bytes();
    if (options.decode > 0) {
      if (!bandwidth) bandwidth.emplace(std::max(kLeastProbe, runners[0].side().weight_bytes));
      result.read_bandwidth.push_back(bandwidth->measure());
    }
    progress.advance(1);
    result.partial = job_interrupted();
  }
  for (const BenchRunner& runner : runners) result.sides.push_back(runner.side());
}

}  // namespace

BenchResult bench(const BenchOptions& options) {
  check_options(options);
  BenchResult result;
  if (options.linear)
    for (const Recipe& recipe : options.recipes)
      for (LinearTimes& times : bench_linears(recipe, options.runs))
        result.linears.push_back(std::move(times));
  if (options.prefill > 0 || options.decode > 0) measure_model(options, result);
  if (result.peak_rss_bytes == 0) result.peak_rss_bytes = peak_rss_bytes();
  result.peak = measure_dot_peak();
  return result;
}

}  // namespace stamp
