#pragma once
// Perplexity, KL divergence, top-1 agreement and SQNR of a recipe on a text (METHODS 12.1).
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "stamp/io/json.h"
#include "stamp/models/model.h"
#include "stamp/text/tokenizer.h"

namespace stamp {

struct EvaluateOptions {
  std::filesystem::path model;
  std::filesystem::path text;
  std::filesystem::path reference_model;  // plain model of stored weights; empty: `model`
  std::filesystem::path calibration;      // empty: DIR/calibration.txt when the recipe needs one
  std::filesystem::path cache;            // see CalibrateOptions; keeps finished windows, too
  Recipe recipe;
  int64_t context = 2048;
  int64_t max_windows = 0;       // 0: all whole windows of the text
  bool bos_every_window = true;  // --bos every | first
  Execution execution = Execution::kInteger;
  Compute compute = Compute::kF32;
  Compute reference = Compute::kF32;
  int64_t causal_positions = 2000;  // scored for the exactly causal figure; 0: off
  int64_t sqnr_windows = 2;         // windows used for per-linear SQNR, which a split model has not
  ModelSplit split = ModelSplit::kNone;  // of several processes; kNone: windows are split
  int link_bits = 32;                    // see ModelOptions
};

/// Scores of one window (means over its predicted tokens).
struct WindowScore {
  double nll = 0, nll_reference = 0, kl = 0;
};

struct Scores {
  int64_t tokens = 0;  // predicted
  double perplexity = 0, perplexity_reference = 0;
  double kl_mean = 0, kl_99 = 0, top1_agreement = 0;
  double nll_standard_error = 0;  // of the paired difference to the reference
  std::vector<WindowScore> windows;
};

/// Mean bits per element of all quantized linear inputs, and of K and V; with scales: codes, fp16
/// scales, zero points.
struct AverageBits {
  double activations = 16, activations_with_scales = 16;
  double kv = 16, kv_with_scales = 16;
};
AverageBits average_bits(const Model& model, int64_t tokens);

struct LinearSqnr {
  std::string linear;
  double db = 0;
};

struct Evaluation {
  Scores all;  // every token ("paper protocol, not causal" below 8-bit activations)
  std::optional<Scores> causal;  // only tokens that close a transform run
  int64_t causal_run = 0;        // tokens per run
  std::vector<LinearSqnr> linears;
  double hidden_sqnr_db = 0;  // end to end, final hidden states
  AverageBits bits;
  double average_weight_bits = 16;
  double link_bytes_per_token = 0;  // of a pipeline
  double bits_per_byte = 0;
  double seconds = 0, tokens_per_second = 0;
  int64_t peak_rss_bytes = 0;
  bool partial = false;    // interrupted
  bool simulated = false;  // fp32 values stand for some of the integers
  std::vector<std::string> notes;
};

/// Measures a recipe. Throws std::invalid_argument for options that do not fit (text too short,
/// calibration text equal to the evaluated one), std::runtime_error for files. When interrupted()
/// the result so far is marked partial.
Evaluation evaluate(const EvaluateOptions& options);

/// Ids of the calibration text: `calibration`, or MODEL/calibration.txt when empty. Never the
/// evaluated text.
std::vector<int32_t> calibration_ids(const Tokenizer& tokenizer, const std::filesystem::path& model,
                                     const std::filesystem::path& calibration,
                                     const std::filesystem::path& text);
Json to_json(const Evaluation& evaluation, const EvaluateOptions& options);
/// Aligned text for the terminal.
std::string to_text(const Evaluation& evaluation, const EvaluateOptions& options);

}  // namespace stamp
