#pragma once
// One model of a comparison and what has been measured of it.
#include <memory>

#include "stamp/pipelines/bench.h"

namespace stamp {

/// The model directory of the options, or one of random weights that vanishes again.
std::shared_ptr<const ModelSource> open_bench_source(const BenchOptions& options,
                                                     const Recipe& recipe);

/// Makes `cache`, of at least two blocks, hold `tokens` tokens by copying the second block.
void repeat_block(KvCache& cache, int64_t layers, int64_t tokens);

class BenchRunner {
 public:
  BenchRunner(const BenchOptions& options, const Recipe& recipe,
              std::shared_ptr<const ModelSource> source);
  /// One pass or one run of single tokens; kept unless it is only a warm-up.
  void prefill(bool keep);
  void decode(bool keep);
  const BenchSide& side() const { return side_; }

 private:
  void fill_cache();
  void tell_next_token();
  double pass(std::span<const int32_t> ids, KvCache& cache);

  const BenchOptions& options_;
  BenchSide side_;
  std::unique_ptr<Model> model_;
  ForwardContext context_;
  Matrix logits_;
  KvCache prefill_cache_, decode_cache_;
};

}  // namespace stamp
