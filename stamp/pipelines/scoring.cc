#include "stamp/pipelines/scoring.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/core/progress.h"
#include "stamp/quant/bit_plan.h"
#include "stamp/quant/sequence_transform.h"

namespace stamp {
namespace {

// Rows of logits held at a time: about 64 MB each for model and reference.
int64_t logit_rows(int64_t vocab_size) {
  return std::clamp<int64_t>((int64_t{1} << 24) / std::max<int64_t>(vocab_size, 1), 16, 512);
}

struct ErrorObserver : Observer {
  bool wants_linear_error() const override { return enabled; }
  void on_linear_error(const std::string& linear, const Sqnr& sqnr) override {
    auto [it, added] = index.try_emplace(linear, sums.size());
    if (added) sums.emplace_back(linear, Sqnr{});
    sums[it->second].second.signal += sqnr.signal;
    sums[it->second].second.noise += sqnr.noise;
  }
  bool enabled = false;
  std::map<std::string, size_t> index;
  std::vector<std::pair<std::string, Sqnr>> sums;  // in the order of the model
};

Matrix run(const Model& model, const std::vector<int32_t>& window, ForwardContext& context) {
  KvCache cache = model.make_cache(static_cast<int64_t>(window.size()));
  return model.forward(window, cache, context);
}

class WindowScorer {
 public:
  WindowScorer(const Model& reference, const Model& model, Compute compute, int64_t causal_run)
      : reference_(reference), model_(model), causal_run_(causal_run) {
    context_.compute = compute;
  }

  void add(const std::vector<int32_t>& window, const Matrix& expected, const Matrix& hidden) {
    all.begin_window();
    causal.begin_window();
    const int64_t predicted = static_cast<int64_t>(window.size()) - 1;
    const int64_t vocab = model_.config().vocab_size, step = logit_rows(vocab);
    scores_.resize(static_cast<size_t>(step));
    for (int64_t first = 0; first < predicted; first += step) {
      const int64_t count = std::min(step, predicted - first);
      reference_logits_.reshape(count, vocab);
      logits_.reshape(count, vocab);
      reference_.logits(expected.view().rows_from(first, count), reference_logits_.view(),
                        context_);
      model_.logits(hidden.view().rows_from(first, count), logits_.view(), context_);
      parallel_for(count, [&](int64_t i) {
        scores_[static_cast<size_t>(i)] =
            score_token({reference_logits_.row(i), static_cast<size_t>(vocab)},
                        {logits_.row(i), static_cast<size_t>(vocab)},
                        window[static_cast<size_t>(first + i + 1)]);
      });
      for (int64_t i = 0; i < count; ++i) {
        all.add(scores_[static_cast<size_t>(i)]);
        if (causal_run_ > 0 && (first + i + 1) % causal_run_ == 0)
          causal.add(scores_[static_cast<size_t>(i)]);
      }
    }
  }

  ScoreSum all, causal;

 private:
  const Model &reference_, &model_;
  int64_t causal_run_;
  ForwardContext context_;
  Matrix reference_logits_, logits_;
  std::vector<TokenScore> scores_;
};

}  // namespace

void ScoreSum::begin_window() { windows_.emplace_back(); }

void ScoreSum::add(const TokenScore& score) {
  Window& window = windows_.back();
  window.nll += score.nll;
  window.nll_reference += score.nll_reference;
  window.kl += score.kl;
  ++window.tokens;
  kl_.push_back(score.kl);
  same_top1_ += score.same_top1;
}

Scores ScoreSum::finish() {
  Scores scores;
  scores.tokens = static_cast<int64_t>(kl_.size());
  if (kl_.empty()) return scores;
  double nll = 0, nll_reference = 0, kl = 0;
  for (const Window& window : windows_) {
    if (window.tokens == 0) continue;
    nll += window.nll, nll_reference += window.nll_reference, kl += window.kl;
    const double n = static_cast<double>(window.tokens);
    scores.windows.push_back({window.nll / n, window.nll_reference / n, window.kl / n});
  }
  const double tokens = static_cast<double>(scores.tokens);
  scores.perplexity = std::exp(nll / tokens);
  scores.perplexity_reference = std::exp(nll_reference / tokens);
  scores.kl_mean = kl / tokens;
  scores.kl_99 = quantile(kl_, 0.99);
  scores.top1_agreement = static_cast<double>(same_top1_) / tokens;
  const double count = static_cast<double>(scores.windows.size());
  double variance = 0;
  for (const WindowScore& w : scores.windows)
    variance += std::pow(w.nll - w.nll_reference - (nll - nll_reference) / tokens, 2);
  scores.nll_standard_error = count > 1 ? std::sqrt(variance / (count - 1) / count) : 0;
  return scores;
}

ReferenceCache::ReferenceCache(const Model& model, Compute compute, int64_t budget_bytes)
    : model_(model), budget_(budget_bytes) {
  context_.compute = compute;
}

const Matrix& ReferenceCache::hidden(size_t index, const std::vector<int32_t>& window) {
  if (index < kept_.size() && kept_[index].rows() > 0) return kept_[index];
  last_ = run(model_, window, context_);
  budget_ -= last_.size() * static_cast<int64_t>(sizeof(float));
  if (budget_ < 0) return last_;
  if (index >= kept_.size()) kept_.resize(index + 1);
  return kept_[index] = std::move(last_);
}

ScoreResult score_windows(const Model& model, ReferenceCache& reference,
                          const std::vector<std::vector<int32_t>>& windows,
                          const ScoreOptions& options) {
  ErrorObserver errors;
  ForwardContext context{.compute = options.compute, .observer = &errors};
  WindowScorer scorer(reference.model(), model, options.compute, options.causal_run);
  Sqnr hidden_sqnr;
  ScoreResult result;
  Progress progress(options.label, static_cast<int64_t>(windows.size() * windows.front().size()),
                    "tokens");
  for (size_t i = 0; i < windows.size(); ++i) {
    if (interrupted()) {
      result.partial = true;
      if (i == 0) throw_runtime("{}: interrupted before the first window ended", options.label);
      break;
    }
    const Matrix& expected = reference.hidden(i, windows[i]);
    errors.enabled = static_cast<int64_t>(i) < options.sqnr_windows;
    const Matrix hidden = run(model, windows[i], context);
    hidden_sqnr.add(expected.view(), hidden.view());
    scorer.add(windows[i], expected, hidden);
    progress.advance(static_cast<int64_t>(windows[i].size()));
  }
  result.all = scorer.all.finish();
  result.causal = scorer.causal.finish();
  result.hidden_sqnr_db = hidden_sqnr.db();
  for (const auto& [linear, sqnr] : errors.sums) result.linears.push_back({linear, sqnr.db()});
  return result;
}

int64_t transform_run(const Recipe& recipe, int64_t context) {
  const TokenSpec& spec = recipe.activations;
  int64_t run = 1;
  if (spec.bits < 16) {
    const int64_t block = spec.sequence.block_tokens > 0
                              ? std::min<int64_t>(spec.sequence.block_tokens, context)
                              : context;
    const SequenceTransform& transform = sequence_transform(spec.sequence.transform);
    run = transform.run_length(block, block_levels(spec, block));
  }
  const bool kv_mixes = recipe.kv_block == 0 && (recipe.k.bits < 16 || recipe.v.bits < 16);
  return kv_mixes ? context : run;
}

}  // namespace stamp
