#pragma once
// Scores of candidate recipes on the search windows, remembered in a file.
#include <chrono>
#include <map>
#include <memory>

#include "stamp/models/weights.h"
#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/scoring.h"
#include "stamp/pipelines/tune.h"

namespace stamp {

class TuneScorer {
 public:
  explicit TuneScorer(const TuneOptions& options);
  /// Mean KL over the first `windows` of the search windows (at most all); infinity when stopped()
  /// before all of them were scored.
  /// `calibration`: null: that of the recipe.
  double kl(const Recipe& recipe, int64_t windows, const Calibration* calibration = nullptr);
  /// Statistics for recipes that kl() will see, in one pass. Throws std::runtime_error when
  /// interrupted().
  void prepare(const std::vector<Recipe>& recipes);
  const Calibration& calibration(const Recipe& recipe);
  /// Data bits per element of the linear inputs.
  double activation_bits(const Recipe& recipe);
  bool stopped() const;

  int64_t windows() const { return static_cast<int64_t>(windows_.size()); }
  const LlmConfig& config() const { return source_->config(); }
  std::shared_ptr<const ModelSource> source() const { return source_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  int64_t evaluations = 0, reused = 0;  // windows scored, windows found in the state

 private:
  const Model& model_of(const Recipe& recipe, const Calibration* calibration);
  bool score(const Recipe& recipe, int64_t windows, const Calibration* calibration,
             std::vector<double>& known);
  CalibrateOptions statistics_text() const;
  void load_state();
  void save_state() const;
  std::string search_name() const;

  const TuneOptions options_;
  std::chrono::steady_clock::time_point start_;
  std::shared_ptr<const ModelSource> source_;
  Tokenizer tokenizer_;
  std::vector<int32_t> statistics_ids_;
  std::vector<std::vector<int32_t>> windows_;
  std::unique_ptr<Model> reference_;
  std::unique_ptr<ReferenceCache> cache_;
  std::map<std::string, Calibration> calibrations_;   // by statistics_key()
  std::map<std::string, std::vector<double>> known_;  // KL per window by recipe
  std::string codes_key_;                             // weights_key() of codes_
  WeightCodes codes_;
  std::string built_;  // recipe of model_
  std::unique_ptr<Model> model_;
};

}  // namespace stamp
