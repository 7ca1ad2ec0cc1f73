#pragma once
// What quantizing each tensor alone does to the model.
#include <filesystem>
#include <string>
#include <vector>

#include "stamp/pipelines/evaluate.h"

namespace stamp {

/// A recipe that quantizes one tensor, or the weights of one group of linears, and nothing else.
struct IsolatedRecipe {
  int64_t layer = 0;
  std::string kind;  // "attn_in", "o_in", "mlp_in", "down_in", "k", "v"; weights: "attn_in weights"
  Recipe recipe;     // named "layers.3.attn_in", "layers.3.attn_in weights"
};
/// Everything that `recipe` quantizes in layers of a model of this architecture, layer by layer;
/// embeddings and lm_head stay as they are.
std::vector<IsolatedRecipe> isolate(const Recipe& recipe, const LlmConfig& config);

struct SensitivityOptions {
  std::filesystem::path model;
  std::filesystem::path text;
  std::filesystem::path calibration;  // empty: MODEL/calibration.txt when the recipe needs one
  std::filesystem::path cache;        // see EvaluateOptions
  Recipe recipe;
  int64_t context = 1024;
  int64_t max_windows = 4;  // 0: all
  bool bos_every_window = true;
};

struct SensitivityRow {
  int64_t layer = 0;
  std::string kind;
  double bits = 16;                        // data bits per element, of this tensor
  double kl = 0, kl_low = 0, kl_high = 0;  // bootstrap 95 % over windows
  double nll_difference = 0;               // to the unquantized model, nats per token
};

struct Sensitivity {
  SensitivityOptions options;
  std::string machine, model_name, text_name, commit;
  std::vector<SensitivityRow> rows;
  double kl_sum = 0;         // of the rows
  double kl_everything = 0;  // of the recipe itself; NaN when interrupted before
  int64_t windows = 0;
  double seconds = 0;
  bool partial = false;
};

/// Throws as evaluate(); when interrupted() the rows so far are returned, marked partial.
Sensitivity measure_sensitivity(const SensitivityOptions& options);
/// A table of layers and kinds, KL in thousandths of a nat.
std::string to_text(const Sensitivity& sensitivity);
Json to_json(const Sensitivity& sensitivity);
/// The table as a heat map: self-contained HTML.
std::string to_html(const Sensitivity& sensitivity);

}  // namespace stamp
