#include "stamp/pipelines/evaluate_print.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "stamp/core/cpu_features.h"
#include "stamp/core/version.h"

namespace stamp {
namespace {

std::string score_lines(const std::string& title, const Scores& scores) {
  return fmt::format(
      "{}\n  perplexity {:.4f} (unquantized {:.4f}), KL mean {:.6f}, 99 % {:.5f} nats, top-1 "
      "agreement "
      "{:.2f} %, {} tokens\n  NLL - unquantized: {:+.5f} +- {:.5f} (standard error, paired)\n",
      title, scores.perplexity, scores.perplexity_reference, scores.kl_mean, scores.kl_99,
      100 * scores.top1_agreement, scores.tokens,
      std::log(scores.perplexity / scores.perplexity_reference), scores.nll_standard_error);
}

std::string worst_linears(const std::vector<LinearSqnr>& linears) {
  if (linears.empty()) return "";
  auto sorted = linears;
  std::sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) { return a.db < b.db; });
  double sum = 0;
  for (const LinearSqnr& linear : sorted) sum += linear.db;
  std::string text = fmt::format("SQNR of {} linears: mean {:.2f} dB; worst:", sorted.size(),
                                 sum / static_cast<double>(sorted.size()));
  for (size_t i = 0; i < std::min<size_t>(4, sorted.size()); ++i)
    text += fmt::format(" {} {:.2f}", sorted[i].linear, sorted[i].db);
  return text + "\n";
}

}  // namespace

std::string_view execution_label(bool simulated) {
  return simulated ? " (simulated quantization)" : " (integer)";
}

std::string_view compute_name(Compute compute) {
  return compute == Compute::kBF16 ? "bf16" : "fp32";
}

Json finite_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json scores_to_json(const Scores& scores) {
  Json windows = Json::array();
  for (const WindowScore& w : scores.windows) windows.push_back({w.nll, w.nll_reference, w.kl});
  return {{"tokens", scores.tokens},
          {"perplexity", finite_or_null(scores.perplexity)},
          {"perplexity_unquantized", finite_or_null(scores.perplexity_reference)},
          {"kl_mean", scores.kl_mean},
          {"kl_99", scores.kl_99},
          {"top1_agreement", scores.top1_agreement},
          {"nll_difference_standard_error", scores.nll_standard_error},
          {"windows_nll_unquantized_kl", windows}};
}

Json linears_to_json(const std::vector<LinearSqnr>& linears) {
  Json result = Json::object();
  for (const LinearSqnr& linear : linears) result[linear.linear] = finite_or_null(linear.db);
  return result;
}

Json to_json(const Evaluation& evaluation, const EvaluateOptions& options) {
  Json json = {{"kind", "eval"},
               {"simulated", evaluation.simulated},
               {"model", options.model.string()},
               {"text", options.text.string()},
               {"recipe", to_json(options.recipe)},
               {"context", options.context},
               {"bos_every_window", options.bos_every_window},
               {"compute", compute_name(options.compute)},
               {"reference", compute_name(options.reference)},
               {"machine", machine_description()},
               {"commit", build_commit()},
               {"all_tokens", scores_to_json(evaluation.all)},
               {"linear_sqnr_db", linears_to_json(evaluation.linears)},
               {"hidden_sqnr_db", finite_or_null(evaluation.hidden_sqnr_db)},
               {"bits_per_byte", finite_or_null(evaluation.bits_per_byte)},
               {"weight_average_bits", evaluation.average_weight_bits},
               {"link_bytes_per_token", evaluation.link_bytes_per_token},
               {"activation_average_bits", evaluation.bits.activations},
               {"activation_average_bits_with_scales", evaluation.bits.activations_with_scales},
               {"kv_average_bits", evaluation.bits.kv},
               {"kv_average_bits_with_scales", evaluation.bits.kv_with_scales},
               {"lm_head_bits", 16},
               {"tokens_per_second", evaluation.tokens_per_second},
               {"seconds", evaluation.seconds},
               {"peak_rss_bytes", evaluation.peak_rss_bytes},
               {"notes", evaluation.notes},
               {"partial", evaluation.partial}};
  if (evaluation.causal) {
    json["causal"] = scores_to_json(*evaluation.causal);
    json["causal_run"] = evaluation.causal_run;
  }
  return json;
}

std::string to_text(const Evaluation& evaluation, const EvaluateOptions& options) {
  const bool plain = options.recipe.is_plain();
  std::string text = fmt::format(
      "{} on {}: recipe {}{}, {} windows of {} tokens, {} compute against a {} reference\n"
      "machine: {}; commit {}\n",
      options.model.string(), options.text.string(), options.recipe.name,
      plain ? "" : execution_label(evaluation.simulated), evaluation.all.windows.size(),
      options.context, compute_name(options.compute), compute_name(options.reference),
      machine_description(), build_commit());
  if (evaluation.causal)
    text += score_lines(
        fmt::format("exactly causal (tokens that close a run of {})", evaluation.causal_run),
        *evaluation.causal);
  text += score_lines(evaluation.causal_run > 1 ? "all tokens (paper protocol, not causal)"
                                                : "all tokens (exactly causal)",
                      evaluation.all);
  text += fmt::format("bits per byte {:.4f}\n", evaluation.bits_per_byte);
  text += worst_linears(evaluation.linears);
  if (!plain)
    text += fmt::format(
        "SQNR of the final hidden states {:.2f} dB\naverage bits: weights {:.3f}, activations "
        "{:.3f} "
        "({:.3f} with scales), K/V {:.3f} ({:.3f} with scales), lm_head {}\n",
        evaluation.hidden_sqnr_db, evaluation.average_weight_bits, evaluation.bits.activations,
        evaluation.bits.activations_with_scales, evaluation.bits.kv, evaluation.bits.kv_with_scales,
        options.recipe.lm_head.bits);
  for (const std::string& note : evaluation.notes) text += "note: " + note + "\n";
  if (evaluation.partial) text += "PARTIAL: interrupted before the last window.\n";
  text +=
      fmt::format("{:.0f} tokens/s scored (both models), {:.1f} s in all, peak memory {:.0f} MiB\n",
                  evaluation.tokens_per_second, evaluation.seconds,
                  static_cast<double>(evaluation.peak_rss_bytes) / (1 << 20));
  return text;
}

}  // namespace stamp
