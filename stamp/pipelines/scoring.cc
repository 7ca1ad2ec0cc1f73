#include "stamp/pipelines/scoring.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <numeric>
#include <utility>

#include "stamp/core/bytes.h"
#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/core/progress.h"
#include "stamp/io/sha256.h"
#include "stamp/pipelines/score_journal.h"
#include "stamp/quant/bit_plan.h"
#include "stamp/quant/sequence_transform.h"

namespace stamp {
namespace {

constexpr int64_t kWindowsInPipeline = 4;

// Rows of logits held at a time: about 32 MB each for model and reference.
int64_t logit_rows(int64_t vocab_size) {
  return std::clamp<int64_t>((int64_t{1} << 23) / std::max<int64_t>(vocab_size, 1), 16, 512);
}

// The matrices of a small model do not feed a team of threads: windows run side by side then.
int64_t windows_at_once(const Model& model) {
  const int64_t processes = communicator().size();
  switch (model.split()) {
    case ModelSplit::kNone:
      return (model.config().hidden_size <= 1024 ? threads() : 1) * processes;
    case ModelSplit::kTensor:
      return 1;
    case ModelSplit::kPipeline:
      return kWindowsInPipeline * processes;  // that the last of them are waited for is seldom
  }
  return 1;
}

using LinearErrors = std::vector<std::pair<std::string, Sqnr>>;  // in the order of the model

struct ErrorObserver : Observer {
  bool wants_linear_error() const override { return enabled; }
  void on_linear_error(const std::string& linear, const Sqnr& sqnr) override {
    errors.emplace_back(linear, sqnr);
  }
  bool enabled = false;
  LinearErrors errors;
};

void add_errors(const LinearErrors& errors, LinearErrors& sums) {
  if (sums.empty()) sums.resize(errors.size());  // later windows report none
  for (size_t i = 0; i < errors.size(); ++i) {
    sums[i].first = errors[i].first;
    sums[i].second.signal += errors[i].second.signal;
    sums[i].second.noise += errors[i].second.noise;
  }
}

Matrix run(const Model& model, const std::vector<int32_t>& window, ForwardContext& context) {
  KvCache cache = model.make_cache(static_cast<int64_t>(window.size()));
  return model.forward(window, cache, context);
}

// Scores of every predicted token of a window.
std::vector<TokenScore> score_tokens(const Model& reference, const Model& model,
                                     const std::vector<int32_t>& window, const Matrix& expected,
                                     const Matrix& hidden, ForwardContext& context) {
  const int64_t predicted = static_cast<int64_t>(window.size()) - 1;
  const int64_t vocab = model.config().vocab_size, step = logit_rows(vocab);
  std::vector<TokenScore> scores(static_cast<size_t>(predicted));
  Matrix expected_logits, logits;
  for (int64_t first = 0; first < predicted; first += step) {
    const int64_t count = std::min(step, predicted - first);
    expected_logits.reshape(count, vocab);
    logits.reshape(count, vocab);
    reference.logits(expected.view().rows_from(first, count), expected_logits.view(), context);
    model.logits(hidden.view().rows_from(first, count), logits.view(), context);
    parallel_for(count, [&](int64_t i) {
      const size_t token = static_cast<size_t>(first + i);
      scores[token] = score_token(expected_logits.view().row_span(i), logits.view().row_span(i),
                                  window[token + 1]);
    });
  }
  return scores;
}

struct WindowResult {
  std::vector<TokenScore> scores;
  Sqnr hidden;
  LinearErrors errors;
};

/// For other processes, whose machines are alike.
std::string to_bytes(const WindowResult& result) {
  ByteWriter bytes;
  bytes.put_all(result.scores);
  bytes.put(result.hidden);
  bytes.put(result.errors.size());
  for (const auto& [linear, sqnr] : result.errors) {
    bytes.put_all(linear);
    bytes.put(sqnr);
  }
  return bytes.take();
}

WindowResult from_bytes(std::string_view text) {
  ByteReader bytes(text);
  WindowResult result{.scores = bytes.get_all<std::vector<TokenScore>>(),
                      .hidden = bytes.get<Sqnr>()};
  result.errors.resize(bytes.get<size_t>());
  for (auto& [linear, sqnr] : result.errors) {
    linear = bytes.get_all<std::string>();
    sqnr = bytes.get<Sqnr>();
  }
  return result;
}

WindowResult score_window(const Model& model, ReferenceCache& reference, size_t index,
                          const std::vector<int32_t>& window, const ScoreOptions& options) {
  ErrorObserver observer;
  observer.enabled = static_cast<int64_t>(index) < options.sqnr_windows;
  ForwardContext context{.compute = options.compute, .observer = &observer};
  const auto expected = reference.hidden(index, window);
  const Matrix hidden = run(model, window, context);
  WindowResult result;
  if (!model.has_output()) return result;
  result.scores = score_tokens(reference.model(), model, window, *expected, hidden, context);
  result.hidden.add(expected->view(), hidden.view());
  result.errors = std::move(observer.errors);
  return result;
}

/// What `item` gives for each of `count` windows, in all processes: windows are split among them,
/// or a model that is split takes each in all.
std::vector<std::string> share_windows(const Model& model, int64_t count,
                                       const std::function<std::string(int64_t)>& item) {
  if (model.split() == ModelSplit::kNone) return share_items(count, item);
  std::vector<std::string> items;
  for (int64_t i = 0; i < count; ++i) items.push_back(item(i));
  if (model.split() == ModelSplit::kTensor) return items;
  ByteWriter own;
  for (const std::string& bytes : items) own.put_all(bytes);
  const auto all = communicator().gather(own.take());
  ByteReader bytes(all[static_cast<size_t>(model.output_process())]);
  for (std::string& one : items) one = bytes.get_all<std::string>();
  return items;
}

/// Tokens of one run of the transform: those that a row mixes.
int64_t mixed_tokens(const TokenSpec& spec, int64_t context) {
  if (spec.bits == 16) return 1;
  const SequenceSpec& sequence = spec.sequence;
  const int64_t block =
      sequence.block_tokens > 0 ? std::min<int64_t>(sequence.block_tokens, context) : context;
  return sequence_transform(sequence.transform).run_length(block, block_params(spec, block));
}

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
    : model_(model), compute_(compute), budget_(budget_bytes) {}

std::shared_ptr<const Matrix> ReferenceCache::hidden(size_t index,
                                                     const std::vector<int32_t>& window) {
  {
    const std::lock_guard lock(guard_);
    if (const auto found = kept_.find(index); found != kept_.end()) return found->second;
  }
  ForwardContext context{.compute = compute_};
  auto hidden = std::make_shared<const Matrix>(run(model_, window, context));
  const std::lock_guard lock(guard_);
  budget_ -= hidden->size() * static_cast<int64_t>(sizeof(float));
  if (budget_ >= 0 && hidden->rows() > 0) kept_[index] = hidden;
  return hidden;
}

namespace {

ScoreJournal open_journal(const Model& model, const std::vector<std::vector<int32_t>>& windows,
                          const ScoreOptions& options) {
  if (options.journal.empty()) return {};
  Json files = Json::array();
  for (const std::filesystem::path& file : options.files)
    files.push_back(file.empty() ? Json() : file_stamps(file));
  return {options.journal,
          {{"files", files},
           {"settings", options.settings},
           {"recipe", to_json(model.recipe())},
           {"split", static_cast<int>(model.split())},
           {"windows", sha256(Json(windows).dump())},
           {"range", {options.first_window, options.last_window}},
           {"compute", static_cast<int>(options.compute)},
           {"sqnr_windows", options.sqnr_windows}}};
}

}  // namespace

ScoreResult score_windows(const Model& model, ReferenceCache& reference,
                          const std::vector<std::vector<int32_t>>& windows,
                          const ScoreOptions& options) {
  ScoreSum all, causal;
  Sqnr hidden;
  LinearErrors errors;
  ScoreResult result;
  const auto count =
      options.last_window > 0 ? options.last_window : static_cast<int64_t>(windows.size());
  const int64_t batch = windows_at_once(model);
  Progress progress(options.label,
                    (count - options.first_window) * static_cast<int64_t>(windows.front().size()),
                    "tokens");
  ScoreJournal journal = open_journal(model, windows, options);
  std::vector<std::string> finished = journal.finished();
  for (int64_t first = options.first_window; first < count;) {
    if (finished.empty()) {
      if (job_interrupted()) break;
      finished = share_windows(model, std::min(batch, count - first), [&](int64_t i) {
        const auto index = static_cast<size_t>(first + i);
        return to_bytes(score_window(model, reference, index, windows[index], options));
      });
      for (const std::string& bytes : finished) journal.add(bytes);
    }
    first += std::ssize(finished);
    for (const std::string& bytes : std::exchange(finished, {})) {
      const WindowResult window = from_bytes(bytes);
      all.begin_window();
      causal.begin_window();
      for (size_t t = 0; t < window.scores.size(); ++t) {
        all.add(window.scores[t]);
        if (options.causal_run > 0 && (static_cast<int64_t>(t) + 1) % options.causal_run == 0)
          causal.add(window.scores[t]);
      }
      hidden.signal += window.hidden.signal;
      hidden.noise += window.hidden.noise;
      add_errors(window.errors, errors);
      progress.advance(static_cast<int64_t>(window.scores.size()) + 1);
    }
  }
  result.all = all.finish();
  if (result.all.tokens == 0)
    throw_runtime("{}: interrupted before the first window ended", options.label);
  result.partial = static_cast<int64_t>(result.all.windows.size()) < count - options.first_window;
  result.causal = causal.finish();
  result.hidden_sqnr_db = hidden.db();
  for (const auto& [linear, sqnr] : errors) result.linears.push_back({linear, sqnr.db()});
  return result;
}

int64_t transform_run(const Recipe& recipe, int64_t context) {
  int64_t run = mixed_tokens(recipe.activations, context);
  if (recipe.kv_block != 0) return run;  // closed blocks hold the past only
  for (const TokenSpec* spec : std::initializer_list<const TokenSpec*>{&recipe.k, &recipe.v})
    run = std::lcm(run, mixed_tokens(*spec, context));
  return std::min(run, context);
}

}  // namespace stamp
