#pragma once
// Scores of a quantized model against its unquantized reference, window by window.
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "stamp/io/json.h"
#include "stamp/models/model.h"
#include "stamp/pipelines/evaluate.h"

namespace stamp {

/// Sums per-token scores; finish() turns them into Scores.
class ScoreSum {
 public:
  void begin_window();
  void add(const TokenScore& score);
  Scores finish();

 private:
  struct Window {
    double nll = 0, nll_reference = 0, kl = 0;
    int64_t tokens = 0;
  };
  std::vector<Window> windows_;
  std::vector<float> kl_;
  int64_t same_top1_ = 0;
};

/// Final hidden states of the reference, kept between recipes while they fit into `budget_bytes`.
class ReferenceCache {
 public:
  ReferenceCache(const Model& model, Compute compute, int64_t budget_bytes);
  /// Hidden states [tokens, hidden] of window `index`. Safe to call for different windows at a
  /// time.
  std::shared_ptr<const Matrix> hidden(size_t index, const std::vector<int32_t>& window);
  const Model& model() const { return model_; }

 private:
  const Model& model_;
  Compute compute_;
  int64_t budget_;
  std::mutex guard_;
  std::map<size_t, std::shared_ptr<const Matrix>> kept_;
};

struct ScoreOptions {
  Compute compute = Compute::kF32;
  /// Tokens per transform run: position t of a window counts for the causal sums when (t + 1) % run
  /// == 0. 0: none.
  int64_t causal_run = 0;
  int64_t sqnr_windows = 0;  // first windows on which per-linear SQNR is measured too
  std::string label = "eval";
  int64_t first_window = 0, last_window = 0;  // scored: [first, last); last 0: all
  /// Folder that keeps finished windows, so that an interrupted run goes on; empty: none.
  std::filesystem::path journal;
  /// What finished windows depend on besides recipe and windows: files (empty names: none), and
  /// what else the caller decides.
  std::vector<std::filesystem::path> files;
  Json settings;
};

struct ScoreResult {
  Scores all, causal;
  std::vector<LinearSqnr> linears;
  double hidden_sqnr_db = 0;
  bool partial = false;
};

/// Runs `model` over the windows. Ends early, with partial = true, when interrupted(); throws
/// std::runtime_error when not even one window was finished.
ScoreResult score_windows(const Model& model, ReferenceCache& reference,
                          const std::vector<std::vector<int32_t>>& windows,
                          const ScoreOptions& options);

/// Tokens that one output row of the recipe's activation transform mixes (1: exactly causal
/// everywhere).
int64_t transform_run(const Recipe& recipe, int64_t context);

}  // namespace stamp
