#pragma once
// Speed and memory of a model: prefill, decoding behind a cache, single linears.
#include <filesystem>
#include <string>
#include <vector>

#include "stamp/io/json.h"
#include "stamp/models/model.h"
#include "stamp/pipelines/machine_limits.h"

namespace stamp {

struct BenchOptions {
  std::filesystem::path model;  // a directory; empty: `shape` with random weights
  std::string shape;            // see shape_config()
  std::vector<Recipe> recipes;  // one, or two that take turns
  int64_t prefill = 0;          // tokens of one pass, the logits of the last included; 0: none
  int64_t decode = 0;           // single tokens of one run; 0: none
  int64_t depth = 0;            // tokens in the cache before the first of them
  bool linear = false;          // one linear of 2048x2048->8192 and 2048x8192->2048 each
  int runs = 3;                 // timed, after one that is not
  Compute compute = Compute::kF32;
  Execution execution = Execution::kInteger;
  ModelSplit split = ModelSplit::kTensor;  // what each of several processes has
  int link_bits = 32;                      // see ModelOptions
};

/// What one recipe did.
struct BenchSide {
  Recipe recipe;
  bool simulated = false;
  double load_seconds = 0;                   // weights from files into memory, packed
  std::vector<double> prefill_seconds;       // one per run
  std::vector<double> decode_seconds;        // one per token of all runs
  PhaseTimes prefill_phases, decode_phases;  // sums over these
  double prefill_operations = 0;  // of the linears in one pass, a multiply and an add; as the bytes
                                  // below a process's part
  int64_t weight_bytes = 0, cache_bytes = 0;  // that one token of decoding reads
};

/// One linear with int4 weights in the recipe's groups, codes given.
struct LinearTimes {
  std::string recipe;
  int64_t tokens = 0, in_dim = 0, out_dim = 0;
  std::vector<double> seconds;
  std::vector<double> peak_gops;  // right after each run: the clock changes with the load

  double operations() const { return 2.0 * static_cast<double>(tokens * in_dim * out_dim); }
};

struct BenchResult {
  std::vector<BenchSide> sides;
  std::vector<LinearTimes> linears;
  DotPeak peak;
  std::vector<double> read_bandwidth;  // GB/s, measured between runs; the most is the limit
  int64_t peak_rss_bytes = 0;          // without what measures the bandwidth
  bool partial = false;
};

/// Of one model that all processes share where there are several: a pass ends when every process
/// has heard of the next token. Each process has a result of its own, of equal seconds. Recipes run
/// in turns, in reversed order every other time. Behind an empty cache decoding starts at the first
/// token; otherwise the cache is filled with copies of a few computed blocks, which attention reads
/// like any others. Throws std::invalid_argument for options that do not fit, and as make_model().
BenchResult bench(const BenchOptions& options);
/// The linears of BenchOptions::linear for one recipe, whose activations are encoded beforehand.
std::vector<LinearTimes> bench_linears(const Recipe& recipe, int runs);

Json to_json(const BenchResult& result, const BenchOptions& options);
std::string to_text(const BenchResult& result, const BenchOptions& options);

}  // namespace stamp
