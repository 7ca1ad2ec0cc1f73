#pragma once
// One setting of STaMP varied at a time, as curves.
#include <filesystem>
#include <string>
#include <vector>

#include "stamp/pipelines/evaluate.h"

namespace stamp {

struct AblationOptions {
  std::filesystem::path model;
  std::filesystem::path text;
  std::filesystem::path calibration;  // empty: MODEL/calibration.txt
  std::string feature = "hadamard";
  int bits = 4;             // of linear inputs, where that is not what varies; the rest is 16
  int64_t context = 1024;   // where that is not what varies
  int64_t max_windows = 8;  // of `context` tokens; 0: all
  bool bos_every_window = true;
  int timed_runs = 3;  // of the overhead
};

struct AblationPoint {
  std::string label;  // on the axis: "64"
  Recipe recipe;
  int64_t context = 1024;
  double bits = 16;                        // data bits per element of linear inputs
  double kl = 0, kl_low = 0, kl_high = 0;  // bootstrap 95 % over windows
  double perplexity = 0;
  double milliseconds = 0;  // of a prefill; only of the overhead
};
struct AblationSeries {
  std::string name;  // "haar, two_level"
  std::vector<AblationPoint> points;
};
/// One setting varied; all series have the same labels, except where a point does not exist.
struct Ablation {
  std::string id, title, axis, caption;
  bool timed = false;  // draws milliseconds, not KL
  std::vector<AblationSeries> series;
};
/// What is measured, without results: rows at 8 bits 0 to 256, J 1 to 9, bits 2 to 8, lengths 128
/// to 2048 (as far as the model goes), columns that share a scale, and overhead.
std::vector<Ablation> ablation_plan(const AblationOptions& options, const LlmConfig& config);

struct AblationReport {
  AblationOptions options;
  std::vector<Ablation> ablations;
  double perplexity_reference = 0;  // at options.context
  std::string machine, model_name, text_name, commit;
  double seconds = 0;
  bool partial = false;
};
/// Throws as evaluate(). When interrupted() points that are not measured are missing and the report
/// is marked partial.
AblationReport run_ablations(const AblationOptions& options);
std::string to_text(const AblationReport& report);
Json to_json(const AblationReport& report);
/// Self-contained HTML.
std::string to_html(const AblationReport& report);

}  // namespace stamp
