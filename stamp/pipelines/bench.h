#pragma once
// Prefill timing of a model directory.
#include <filesystem>
#include <string>
#include <vector>

#include "stamp/io/json.h"
#include "stamp/models/model.h"

namespace stamp {

struct BenchOptions {
  std::filesystem::path model;
  int64_t prefill = 2048;  // tokens of one pass
  int runs = 3;            // timed, after one that is not
  Recipe recipe;
  Compute compute = Compute::kF32;
};

struct BenchResult {
  std::vector<double> prefill_seconds;  // one per run, without loading and logits
  int64_t peak_rss_bytes = 0;
  int64_t weight_bytes = 0;  // as stored in the files
  bool partial = false;
};

/// Times the prefill of pseudo-random ids into an empty cache. Throws as make_model().
BenchResult bench(const BenchOptions& options);
Json to_json(const BenchResult& result, const BenchOptions& options);
std::string to_text(const BenchResult& result, const BenchOptions& options);

}  // namespace stamp
