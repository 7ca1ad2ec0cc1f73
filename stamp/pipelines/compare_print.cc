#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "stamp/pipelines/compare.h"
#include "stamp/pipelines/evaluate_print.h"

namespace stamp {
namespace {

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.0f} %", 100 * share) : "-";
}

std::string label(const CompareRow& row) {
  if (row.sequence == "none") return row.plan == "uniform" ? "none, no rows protected" : "none";
  return row.sequence;
}

bool same_block(const CompareRow& a, const CompareRow& b) {
  return a.feature == b.feature && a.weight_bits == b.weight_bits &&
         a.activation_bits == b.activation_bits && a.kv_bits == b.kv_bits;
}

std::string interval(const CompareRow& row) {
  if (!std::isfinite(row.gap_closed_kl)) return "-";
  return fmt::format("{:+.4f} [{:+.4f}, {:+.4f}]", row.nll_difference, row.nll_low, row.nll_high);
}

std::string grid_text(const Comparison& comparison) {
  std::string text;
  const CompareRow* last = nullptr;
  for (const CompareRow& row : comparison.rows) {
    if (!last || !same_block(*last, row))
      text += fmt::format(
          "\nW{} A{} KV{}, feature transform {}\n  {:<24}{:<11}{:>7}{:>9}{:>11}{:>10}"
          "{:>9}{:>8}{:>9}{:>9}{:>9}  {}\n",
          row.weight_bits, row.activation_bits, row.kv_bits, row.feature, "sequence", "plan",
          "A bits", "+scales", "perplexity", "KL", "KL 99%", "top-1", "gap PPL", "gap KL", "causal",
          "NLL - baseline [95 %]");
    last = &row;
    text += fmt::format(
        "  {:<24}{:<11}{:>7.3f}{:>9.3f}{:>11.3f}{:>10.5f}{:>9.4f}{:>7.1f}%{:>9}{:>9}{:>9}  {}\n",
        label(row), row.plan, row.bits.activations, row.bits.activations_with_scales,
        row.scores.perplexity, row.scores.kl_mean, row.scores.kl_99,
        100 * row.scores.top1_agreement, percent(row.gap_closed_perplexity),
        percent(row.gap_closed_kl), percent(row.causal_gap_closed_kl), interval(row));
  }
  return text + fmt::format(
                    "\ngap: share of the distance between the protected baseline without L and the "
                    "unquantized model.\ncausal: gap KL over the tokens that close a run of {}, "
                    "which depend on the past only.\n",
                    comparison.causal_run);
}

/// Methods as columns, transforms as rows: perplexity and the share of the gap that is closed.
std::string paper_text(const Comparison& comparison) {
  std::string text = fmt::format("\n  {:<26}", "perplexity (gap closed)");
  for (const std::string& method : comparison.options.features)
    text += fmt::format("{:>18}", method);
  std::vector<std::string> labels;
  for (const CompareRow& row : comparison.rows)
    if (std::find(labels.begin(), labels.end(), label(row)) == labels.end())
      labels.push_back(label(row));
  for (const std::string& name : labels) {
    text += fmt::format("\n  {:<26}", name);
    for (const std::string& method : comparison.options.features) {
      const auto found = std::find_if(
          comparison.rows.begin(), comparison.rows.end(),
          [&](const CompareRow& row) { return row.feature == method && label(row) == name; });
      text += fmt::format("{:>18}", found == comparison.rows.end()
                                        ? "-"
                                        : fmt::format("{:.3f} ({})", found->scores.perplexity,
                                                      percent(found->gap_closed_perplexity)));
    }
  }
  return text + "\n";
}

std::string list_text(const Comparison& comparison) {
  std::string text =
      fmt::format("\n  {:<36}{:>7}{:>9}{:>8}{:>9}{:>11}{:>10}  {}\n", "recipe", "A bits", "+scales",
                  "KV bits", "+scales", "perplexity", "KL", "KL - first [95 %]");
  for (const CompareRow& row : comparison.rows)
    text += fmt::format(
        "  {:<36}{:>7.3f}{:>9.3f}{:>8.3f}{:>9.3f}{:>11.3f}{:>10.6f}  {}\n", row.recipe.name,
        row.bits.activations, row.bits.activations_with_scales, row.bits.kv,
        row.bits.kv_with_scales, row.scores.perplexity, row.scores.kl_mean,
        &row == &comparison.rows.front() ? "-"
                                         : fmt::format("{:+.6f} [{:+.6f}, {:+.6f}]",
                                                       row.kl_difference, row.kl_low, row.kl_high));
  return text;
}

}  // namespace

std::string to_text(const Comparison& comparison) {
  const CompareOptions& options = comparison.options;
  std::string text = fmt::format(
      "{} on {}: {} windows of {} tokens, {}, fp32 compute\n"
      "machine: {}; commit {}\nunquantized perplexity {:.3f}\n",
      comparison.model_name, comparison.text_name, comparison.windows, options.context,
      options.execution == Execution::kSimulated ? "simulated quantization"
                                                 : "integers where the recipe allows",
      comparison.machine, comparison.commit, comparison.perplexity_reference);
  if (options.paper) text += paper_text(comparison);
  text += options.recipes.empty() ? grid_text(comparison) : list_text(comparison);
  text += "Other figures score every token: paper protocol, not causal below 8-bit activations.\n";
  for (const std::string& note : comparison.notes) text += "note: " + note + "\n";
  if (comparison.partial) text += "PARTIAL: interrupted, rows are missing.\n";
  text += fmt::format("{:.0f} s, peak memory {:.0f} MiB\n", comparison.seconds,
                      static_cast<double>(comparison.peak_rss_bytes) / (1 << 20));
  return text;
}

Json to_json(const Comparison& comparison) {
  Json rows = Json::array();
  for (const CompareRow& row : comparison.rows)
    rows.push_back({{"recipe", to_json(row.recipe)},
                    {"feature", row.feature},
                    {"sequence", row.sequence},
                    {"plan", row.plan},
                    {"weight_bits", row.weight_bits},
                    {"activation_bits", row.activation_bits},
                    {"kv_bits", row.kv_bits},
                    {"activation_average_bits", row.bits.activations},
                    {"activation_average_bits_with_scales", row.bits.activations_with_scales},
                    {"kv_average_bits", row.bits.kv},
                    {"kv_average_bits_with_scales", row.bits.kv_with_scales},
                    {"simulated", row.simulated},
                    {"scores", scores_to_json(row.scores)},
                    {"gap_closed_perplexity", finite_or_null(row.gap_closed_perplexity)},
                    {"gap_closed_kl", finite_or_null(row.gap_closed_kl)},
                    {"causal", scores_to_json(row.causal)},
                    {"causal_gap_closed_kl", finite_or_null(row.causal_gap_closed_kl)},
                    {"nll_difference", {row.nll_difference, row.nll_low, row.nll_high}},
                    {"kl_difference", {row.kl_difference, row.kl_low, row.kl_high}},
                    {"linear_sqnr_db", linears_to_json(row.linears)}});
  return {{"kind", "compare"},
          {"simulated", comparison.options.execution == Execution::kSimulated},
          {"model", comparison.model_name},
          {"text", comparison.text_name},
          {"context", comparison.options.context},
          {"windows", comparison.windows},
          {"causal_run", comparison.causal_run},
          {"machine", comparison.machine},
          {"commit", comparison.commit},
          {"perplexity_unquantized", comparison.perplexity_reference},
          {"rows", rows},
          {"notes", comparison.notes},
          {"partial", comparison.partial},
          {"seconds", comparison.seconds},
          {"peak_rss_bytes", comparison.peak_rss_bytes}};
}

}  // namespace stamp
