#include "stamp/pipelines/bench.h"

#include <algorithm>
#include <chrono>

#include "stamp/core/cpu_features.h"
#include "stamp/core/error.h"
#include "stamp/core/process.h"
#include "stamp/core/progress.h"
#include "stamp/core/rng.h"
#include "stamp/core/version.h"
#include "stamp/pipelines/evaluate_print.h"

namespace stamp {

BenchResult bench(const BenchOptions& options) {
  if (options.prefill < 1 || options.runs < 1)
    throw_argument("bench: expected at least one token and one run, got {} and {}", options.prefill,
                   options.runs);
  const auto source = ModelSource::open(options.model);
  const auto model = make_model(source, {.recipe = options.recipe});
  Rng rng(0);
  std::vector<int32_t> ids(static_cast<size_t>(options.prefill));
  for (int32_t& id : ids)
    id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(source->config().vocab_size)));
  ForwardContext context{.compute = options.compute};
  KvCache cache = model->make_cache(options.prefill);
  BenchResult result{.weight_bytes = source->weights().bytes()};
  Progress progress("bench", (options.runs + 1) * options.prefill, "tokens");
  for (int run = 0; run <= options.runs; ++run) {
    if (interrupted()) {
      result.partial = true;
      break;
    }
    cache.clear();
    const auto start = std::chrono::steady_clock::now();
    model->forward(ids, cache, context);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (run > 0) result.prefill_seconds.push_back(seconds.count());
    progress.advance(options.prefill);
  }
  result.peak_rss_bytes = peak_rss_bytes();
  return result;
}

Json to_json(const BenchResult& result, const BenchOptions& options) {
  return {{"kind", "bench"},
          {"model", options.model.string()},
          {"recipe", options.recipe.name},
          {"simulated", !options.recipe.is_plain()},
          {"prefill", options.prefill},
          {"compute", compute_name(options.compute)},
          {"prefill_seconds", result.prefill_seconds},
          {"peak_rss_bytes", result.peak_rss_bytes},
          {"weight_bytes", result.weight_bytes},
          {"machine", machine_description()},
          {"commit", build_commit()},
          {"partial", result.partial}};
}

std::string to_text(const BenchResult& result, const BenchOptions& options) {
  auto sorted = result.prefill_seconds;
  if (sorted.empty()) return "interrupted before the first timed run\n";
  std::sort(sorted.begin(), sorted.end());
  const double median = sorted[sorted.size() / 2];
  return fmt::format(
      "{}, recipe {}{}\nprefill of {} tokens: median {:.3f} s ({:.3f} to {:.3f}), {:.0f} tokens/s\n"
      "peak memory {:.0f} MiB, weights {:.0f} MiB\nmachine: {}; commit {}\n",
      options.model.string(), options.recipe.name,
      options.recipe.is_plain() ? "" : " (simulated quantization)", options.prefill, median,
      sorted.front(), sorted.back(), static_cast<double>(options.prefill) / median,
      static_cast<double>(result.peak_rss_bytes) / (1 << 20),
      static_cast<double>(result.weight_bytes) / (1 << 20), machine_description(), build_commit());
}

}  // namespace stamp
