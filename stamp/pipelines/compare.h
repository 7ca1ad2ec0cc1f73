#pragma once
// A grid of recipes at equal average bits, measured on the same windows, as table, JSON and HTML
// report.
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "stamp/io/json.h"
#include "stamp/pipelines/evaluate.h"

namespace stamp {

/// Widths of one block of the table.
struct BitSetting {
  int weights = 16, activations = 16, kv = 16;
};
/// "w4a4kv4", "a3kv3", "kv2": parts that are missing stay at 16 bits. Throws std::invalid_argument.
BitSetting parse_bit_setting(const std::string& text);

struct CompareOptions {
  std::filesystem::path model;
  std::filesystem::path text;
  std::filesystem::path calibration;
  std::filesystem::path cache;  // see CalibrateOptions
  std::vector<std::string> features = {"none", "hadamard"};
  /// "haar" or, with a number of levels, "haar:3". "none" is no L: measured with the first tokens
  /// at 8 bits (equal bits) and without (plan "uniform").
  std::vector<std::string> sequences = {"none", "haar", "dct", "wht"};
  std::vector<std::string> plans = {"two_level"};
  std::vector<BitSetting> bits = {{4, 4, 4}};
  /// Presets or recipe files measured instead of the grid; the first one is the baseline.
  std::vector<std::string> recipes;
  /// The paper's grid instead: `features` name presets paper-NAME, K and V are transformed
  /// over the whole window.
  bool paper = false;
  int high_tokens = 64;
  std::string center = "none";
  Execution execution = Execution::kSimulated;  // the figures are the same, integers are faster
  int64_t context = 1024;
  int64_t max_windows = 0;
  bool bos_every_window = true;
  std::string report_site =
      "";  // site drawn in the report's heat map; empty: the middle layer's attention input
};

/// One line of the table.
struct CompareRow {
  Recipe recipe;
  /// The place in the grid; of a listed recipe only `feature` is filled in.
  std::string feature, sequence, plan;
  int weight_bits = 16, activation_bits = 16, kv_bits = 16;
  bool simulated = true;  // quantized products in fp32 (of K and V: Comparison::notes)
  Scores scores;
  AverageBits bits;
  /// Share of the gap between "none" (same feature, bits and plan family) and the unquantized model
  /// that is closed, in perplexity and in KL; NaN for baselines. Interval: paired bootstrap over
  /// windows of the NLL difference.
  double gap_closed_perplexity = 0, gap_closed_kl = 0;
  double nll_difference = 0, nll_low = 0, nll_high = 0;  // row minus baseline, nats per token
  double kl_difference = 0, kl_low = 0, kl_high = 0;
  /// Only tokens that close a run of Comparison::causal_run rows: exactly causal. tokens == 0 where
  /// the row's transform mixes more than such a run.
  Scores causal;
  double causal_gap_closed_kl =
      std::numeric_limits<double>::quiet_NaN();  // NaN for baselines and rows without causal scores
  std::vector<LinearSqnr> linears;
};

/// What the report draws of one site.
struct SitePicture {
  std::string site;
  Matrix autocorrelation;  // [64, 64] tokens x tokens, normalised, first 64 tokens after the sink
  std::vector<double> energy_before;  // per row of X (sink left out), mean over windows
  struct Transformed {
    std::string transform;
    std::vector<double> energy;             // per row of L X
    std::vector<int> two_level, waterfill;  // bits per row
  };
  std::vector<Transformed> transformed;
};

struct Comparison {
  CompareOptions options;
  std::string machine, model_name, text_name, commit;
  double perplexity_reference = 0, bits_per_byte_reference = 0;
  int64_t windows = 0;
  int64_t causal_run = 0;  // longest run of a transform in the grid that is shorter than a window
  std::vector<CompareRow> rows;
  SitePicture picture;
  double seconds = 0;
  int64_t peak_rss_bytes = 0;
  bool partial = false;
  std::vector<std::string> notes;
};

/// The recipes of the grid, baselines first in every block (bits x feature). With L the sink row is
/// one row more, so the baseline protects high_tokens + skip rows: it never has fewer bits.
std::vector<CompareRow> compare_grid(const CompareOptions& options);
/// The rows of options.paper: every method without protected rows, with them, and with each L.
std::vector<CompareRow> paper_grid(const CompareOptions& options);
/// One row per entry of options.recipes. Throws std::invalid_argument as load_recipe(), and for two
/// recipes of the same name.
std::vector<CompareRow> compare_list(const CompareOptions& options);

/// Statistics of one linear input of the plain model over at most 16 windows. Empty site: the
/// middle layer's.
SitePicture draw_site(std::shared_ptr<const ModelSource> source, const std::string& site,
                      const std::vector<std::string>& transforms,
                      const std::vector<std::vector<int32_t>>& windows, int high_tokens);

/// Measures the grid. Throws as evaluate(). When interrupted() the rows finished so far are
/// returned, marked partial.
Comparison compare(const CompareOptions& options);
std::string to_text(const Comparison& comparison);
Json to_json(const Comparison& comparison);
/// Of a grid: self-contained HTML (inline SVG and CSS, no scripts from elsewhere, light and dark,
/// any width).
std::string to_html(const Comparison& comparison);

}  // namespace stamp
