#include "stamp/pipelines/evaluate.h"

#include <chrono>
#include <cmath>

#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/core/process.h"
#include "stamp/io/model_files.h"
#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/quantize_layers.h"
#include "stamp/pipelines/scoring.h"
#include "stamp/pipelines/windows.h"
#include "stamp/quant/weight_quant.h"

namespace stamp {
namespace {

int64_t predicted_bytes(const Tokenizer& tokenizer,
                        const std::vector<std::vector<int32_t>>& windows) {
  int64_t bytes = 0;
  for (const auto& window : windows)
    for (size_t i = 1; i < window.size(); ++i)
      bytes += static_cast<int64_t>(tokenizer.token_bytes(window[i]).size());
  return bytes;
}

// Windows that together close at least `positions` transform runs: those given, then ones shifted
// by a part of a window, so that other tokens of the text close runs.
std::vector<std::vector<int32_t>> causal_windows(const std::vector<int32_t>& ids, int32_t bos_id,
                                                 const EvaluateOptions& options, int64_t run) {
  const int64_t per_window = (options.context - 1) / run;
  std::vector<std::vector<int32_t>> windows;
  if (per_window == 0) return windows;
  const int64_t needed = (options.causal_positions + per_window - 1) / per_window;
  const int64_t in_text = std::max<int64_t>(1, static_cast<int64_t>(ids.size()) / options.context);
  const int64_t rounds = (needed + in_text - 1) / in_text;
  for (int64_t round = 0; round < rounds && static_cast<int64_t>(windows.size()) < needed;
       ++round) {
    const int64_t shift = options.context * round / rounds;
    if (static_cast<int64_t>(ids.size()) - shift < options.context) break;
    auto more = make_windows(ids, bos_id,
                             {.context = options.context,
                              .max_windows = needed - static_cast<int64_t>(windows.size()),
                              .first_token = shift,
                              .bos_every_window = options.bos_every_window});
    windows.insert(windows.end(), more.begin(), more.end());
  }
  return windows;
}

double average_weight_bits(const ModelSource& source, const Recipe& recipe) {
  const LlmConfig& c = source.config();
  return recipe.weights.bits == 16
             ? 16
             : weight_bits_per_element(recipe.weights, c.hidden_size, c.hidden_size);
}

}  // namespace

AverageBits average_bits(const Model& model, int64_t tokens) {
  AverageBits bits;
  const BitCount inputs = model.activation_bits(tokens), kv = model.kv_bits(tokens);
  if (inputs.elements > 0) {
    bits.activations = inputs.average();
    bits.activations_with_scales = inputs.average_with_scales();
  }
  if (kv.elements > 0) {
    bits.kv = kv.average();
    bits.kv_with_scales = kv.average_with_scales();
  }
  return bits;
}

std::vector<int32_t> calibration_ids(const Tokenizer& tokenizer, const std::filesystem::path& model,
                                     const std::filesystem::path& calibration,
                                     const std::filesystem::path& text) {
  const std::filesystem::path file =
      calibration.empty() ? model_folder(model) / "calibration.txt" : calibration;
  std::error_code error;
  if (std::filesystem::equivalent(file, text, error))
    throw_argument("calibration: {} is the evaluated text; calibrate on another one",
                   file.string());
  if (!std::filesystem::exists(file))
    throw_argument(
        "calibration: {} does not exist; this recipe needs calibrated statistics, pass "
        "--calibration FILE",
        file.string());
  return tokenize_file(tokenizer, file);
}

Evaluation evaluate(const EvaluateOptions& options) {
  check(options.recipe);
  const auto start = std::chrono::steady_clock::now();
  const auto source = ModelSource::open(options.model);
  const Tokenizer tokenizer = Tokenizer::load(options.model);
  const std::vector<int32_t> ids = tokenize_file(tokenizer, options.text);
  const auto windows = make_windows(ids, tokenizer.bos_id(),
                                    {.context = options.context,
                                     .max_windows = options.max_windows,
                                     .bos_every_window = options.bos_every_window});
  const auto calibration_text = [&] {
    return CalibrateOptions{
        .ids = calibration_ids(tokenizer, options.model, options.calibration, options.text),
        .bos_id = options.bos_every_window ? tokenizer.bos_id() : -1,
        .context = options.context,
        .cache = options.cache};
  };
  const Calibration calibration = calibration_for(source, options.recipe, calibration_text);
  const WeightCodes codes = weight_codes_for(source, options.recipe, calibration, calibration_text);
  const auto reference_source =
      options.reference_model.empty() ? source : ModelSource::open(options.reference_model);
  const auto reference = make_model(
      reference_source, {.recipe = reference_source->reference_recipe(), .split = options.split});
  const auto model = make_model(source, {.recipe = options.recipe,
                                         .calibration = &calibration,
                                         .codes = &codes,
                                         .execution = options.execution,
                                         .split = options.split,
                                         .link_bits = options.link_bits});

  const Json settings = {{"reference compute", static_cast<int>(options.reference)},
                         {"execution", static_cast<int>(options.execution)},
                         {"link_bits", options.link_bits}};
  const std::vector<std::filesystem::path> files = {options.model, options.reference_model,
                                                    options.calibration};
  Evaluation result;
  // Every window is scored once, so the reference's hidden states are not worth keeping.
  ReferenceCache cache(*reference, options.reference, 0);
  const auto scoring_start = std::chrono::steady_clock::now();
  ScoreResult scored =
      score_windows(*model, cache, windows,
                    {.compute = options.compute,
                     .sqnr_windows = model->split() == ModelSplit::kNone ? options.sqnr_windows : 0,
                     .label = "eval",
                     .journal = options.cache,
                     .files = files,
                     .settings = settings});
  const double scoring_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - scoring_start).count();
  result.all = std::move(scored.all);
  result.linears = std::move(scored.linears);
  result.hidden_sqnr_db = scored.hidden_sqnr_db;
  result.partial = scored.partial;
  result.tokens_per_second =
      static_cast<double>(result.all.tokens + static_cast<int64_t>(result.all.windows.size())) /
      scoring_seconds;
  const auto scored_windows = std::vector(
      windows.begin(), windows.begin() + static_cast<int64_t>(result.all.windows.size()));
  result.bits_per_byte = std::log2(result.all.perplexity) * static_cast<double>(result.all.tokens) /
                         static_cast<double>(predicted_bytes(tokenizer, scored_windows));
  result.notes = model->notes();
  if (reference_source->stored_recipe() != nullptr)
    result.notes.push_back(
        "the reference has the stored weights, too; --reference-model names the plain one");
  result.simulated = model->simulated();

  result.causal_run = transform_run(options.recipe, options.context);
  if (result.causal_run > 1 && options.causal_positions > 0 && !job_interrupted()) {
    const auto shifted = causal_windows(ids, tokenizer.bos_id(), options, result.causal_run);
    if (shifted.empty()) {
      result.notes.push_back(
          fmt::format("no exactly causal figure: every row of {} mixes all {} tokens of a window; "
                      "set block_tokens",
                      options.recipe.activations.sequence.transform, options.context));
    } else {
      ScoreResult causal = score_windows(*model, cache, shifted,
                                         {.compute = options.compute,
                                          .causal_run = result.causal_run,
                                          .label = "causal",
                                          .journal = options.cache,
                                          .files = files,
                                          .settings = settings});
      result.partial |= causal.partial;
      if (causal.causal.tokens < options.causal_positions)
        result.notes.push_back(
            fmt::format("the causal figure rests on {} positions only; {} were asked for",
                        causal.causal.tokens, options.causal_positions));
      result.causal = std::move(causal.causal);
    }
  }
  result.bits = average_bits(*model, options.context);
  result.link_bytes_per_token = static_cast<double>(model->link_bytes(options.context)) /
                                static_cast<double>(options.context);
  result.average_weight_bits = average_weight_bits(*source, options.recipe);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.peak_rss_bytes = peak_rss_bytes();
  return result;
}

}  // namespace stamp
