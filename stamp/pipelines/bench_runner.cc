#include "stamp/pipelines/bench_runner.h"

#include <algorithm>
#include <chrono>

#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/core/rng.h"
#include "stamp/io/temporary_directory.h"
#include "stamp/models/weights.h"
#include "stamp/pipelines/synthetic_model.h"

namespace stamp {
namespace {

constexpr int64_t kBlock = 64;

std::vector<int32_t> random_ids(int64_t count, int64_t vocab) {
  Rng rng(0);
  std::vector<int32_t> ids(static_cast<size_t>(count));
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab)));
  return ids;
}

double linear_operations(const LlmConfig& config, int64_t tokens) {
  double weights = 0;
  for (const LinearGroup& group : linear_groups(config))
    for (const WeightRequest& request : group.weights)
      weights += static_cast<double>(request.out_dim * request.in_dim * config.layers);
  return 2 * weights * static_cast<double>(tokens);
}

void repeat_rows(Matrix& rows, int64_t tokens) {
  for (int64_t i = 2 * kBlock; i < std::min(tokens, rows.rows()); ++i)
    std::copy_n(rows.row(kBlock + i % kBlock), rows.cols(), rows.row(i));
}

template <class Body>
auto timed(double& seconds, Body&& body) {
  const auto start = std::chrono::steady_clock::now();
  auto result = body();
  seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace

std::shared_ptr<const ModelSource> open_bench_source(const BenchOptions& options,
                                                     const Recipe& recipe) {
  if (!options.model.empty()) return ModelSource::open(options.model);
  const TemporaryDirectory directory;  // its files stay mapped after they are gone
  write_synthetic_model(shape_config(options.shape), recipe, directory.path());
  return ModelSource::open(directory.path());
}

void repeat_block(KvCache& cache, int64_t layers, int64_t tokens) {
  for (int64_t i = 0; i < layers; ++i) {
    LayerCache& layer = cache.layer(i);
    while (!layer.blocks.empty() && static_cast<int64_t>(layer.blocks.size()) < tokens / kBlock)
      layer.blocks.push_back(
          std::make_shared<KvBlock>(copy_kv_block(*layer.blocks[1], *layer.arena)));
    for (Matrix* rows : {&layer.k, &layer.v})
      if (rows->rows() > kBlock) repeat_rows(*rows, tokens);
    layer.tokens = tokens;
  }
  cache.advance(tokens - cache.tokens());
}

BenchRunner::BenchRunner(const BenchOptions& options, const Recipe& recipe,
                         std::shared_ptr<const ModelSource> source)
    : options_(options),
      model_(timed(side_.load_seconds,
                   [&] {
                     return make_model(source, {.recipe = recipe,
                                                .calibration = &source->stored_calibration(),
                                                .execution = options.execution,
                                                .split = options.split,
                                                .link_bits = options.link_bits});
                   })),
      logits_(1, model_->config().vocab_size),
      prefill_cache_(model_->make_cache(std::max<int64_t>(options.prefill, 1))),
      decode_cache_(model_->make_cache(options.depth + options.decode * (options.runs + 1) + 1)) {
  context_.compute = options.compute;
  side_.recipe = recipe;
  side_.simulated = model_->simulated();
  side_.weight_bytes = model_->weight_bytes();
  side_.prefill_operations =
      linear_operations(model_->config(), options.prefill) / communicator().size();
  if (options.decode > 0 && options.depth > 0) fill_cache();
}

void BenchRunner::fill_cache() {
  pass(random_ids(std::min(options_.depth, 2 * kBlock), model_->config().vocab_size),
       decode_cache_);
  if (options_.depth > 2 * kBlock)
    repeat_block(decode_cache_, model_->config().layers, options_.depth);
}

double BenchRunner::pass(std::span<const int32_t> ids, KvCache& cache) {
  const auto start = std::chrono::steady_clock::now();
  communicator().book_on(context_.phases);
  {
    const PhaseScope other(context_.phases, Phase::kOther);
    const Matrix hidden = model_->forward(ids, cache, context_);
    if (model_->has_output())
      model_->logits(hidden.view().rows_from(hidden.rows() - 1, 1), logits_.view(), context_);
    if (model_->split() != ModelSplit::kNone) tell_next_token();
  }
  communicator().book_on(nullptr);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// As if it had been drawn: from the process with the output to those that wait for it.
void BenchRunner::tell_next_token() {
  int32_t token = 0;
  communicator().broadcast(std::as_writable_bytes(std::span(&token, 1)), model_->output_process());
}

void BenchRunner::prefill(bool keep) {
  const auto ids = random_ids(options_.prefill, model_->config().vocab_size);
  prefill_cache_.clear();
  context_.phases = keep ? &side_.prefill_phases : nullptr;
  const double seconds = pass(ids, prefill_cache_);
  if (keep) side_.prefill_seconds.push_back(seconds);
}

void BenchRunner::decode(bool keep) {
  context_.phases = keep ? &side_.decode_phases : nullptr;
  for (const int32_t id : random_ids(options_.decode, model_->config().vocab_size)) {
    const double seconds = pass({&id, 1}, decode_cache_);
    if (keep) side_.decode_seconds.push_back(seconds);
  }
  side_.cache_bytes = decode_cache_.bytes();
}

}  // namespace stamp
