// A search as text and JSON.
#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/pipelines/tune.h"

namespace stamp {
namespace {

/// Figures that a search over other presets or an interrupted one lacks stay out.
Json json_of(const TuneEvidence& evidence) {
  return {{"name", evidence.name},
          {"activation_bits", evidence.activation_bits},
          {"kv_bits", evidence.kv_bits},
          {"kl", evidence.scores.kl_mean},
          {"perplexity", evidence.scores.perplexity},
          {"perplexity_unquantized", evidence.scores.perplexity_reference},
          {"windows", evidence.scores.windows.size()}};
}

std::string evidence_text(const Tuning& tuning) {
  if (tuning.evidence.empty()) return "not measured on held-out text\n";
  std::string text = fmt::format(
      "\non {} windows of {}, which was not searched on:\n{:<24}{:>8}{:>8}{:>10}{:>12}\n",
      tuning.evidence.front().scores.windows.size(), tuning.options.text.filename().string(),
      "recipe", "A bits", "KV bits", "KL", "perplexity");
  for (const TuneEvidence& e : tuning.evidence)
    text += fmt::format("{:<24}{:>8.3f}{:>8.3f}{:>10.4f}{:>12.2f}\n", e.name, e.activation_bits,
                        e.kv_bits, e.scores.kl_mean, e.scores.perplexity);
  if (tuning.evidence.size() < 2) return text;
  const double mine = tuning.evidence.front().scores.kl_mean, best = mine - tuning.difference;
  return text +
         fmt::format("KL against the best of them: {:+.1f} % ({:+.5f}, 95 % [{:+.5f}, {:+.5f}])\n",
                     100 * (mine / best - 1), tuning.difference, tuning.difference_low,
                     tuning.difference_high);
}

}  // namespace

std::string to_text(const Tuning& tuning) {
  std::string text = fmt::format("{:<48}{:>10}{:>9}\n", "change", "KL", "windows");
  for (const TuneStep& step : tuning.steps)
    text += fmt::format("{:<48}{:>10.5f}{:>9}\n", step.change, step.kl, step.windows);
  text += fmt::format(
      "\n{}: {:.4f} bits, KL {:.5f} on the search windows; {} windows scored, {} reused; "
      "{:.0f} s{}\n",
      tuning.best.name, tuning.activation_bits, tuning.kl, tuning.evaluations, tuning.reused,
      tuning.seconds, tuning.partial ? "; PARTIAL: ended before everything was tried" : "");
  if (!tuning.options.out.empty())
    text += fmt::format("written to {}\n", tuning.options.out.string());
  return text + evidence_text(tuning);
}

Json to_json(const Tuning& tuning) {
  Json json = {{"model", tuning.model_name},
               {"recipe", to_json(tuning.best)},
               {"average_bits", tuning.options.average_bits},
               {"activation_bits", tuning.activation_bits},
               {"kl", tuning.kl},
               {"seed", tuning.options.seed},
               {"context", tuning.options.context},
               {"windows_scored", tuning.evaluations},
               {"windows_reused", tuning.reused},
               {"machine", tuning.machine},
               {"commit", tuning.commit},
               {"seconds", tuning.seconds},
               {"partial", tuning.partial},
               {"steps", Json::array()},
               {"held_out", Json::array()},
               {"kl_difference", tuning.difference},
               {"kl_difference_interval", {tuning.difference_low, tuning.difference_high}}};
  if (tuning.options.max_kl > 0) json["max_kl"] = tuning.options.max_kl;
  for (const TuneStep& step : tuning.steps)
    json["steps"].push_back({{"change", step.change}, {"kl", step.kl}, {"windows", step.windows}});
  for (const TuneEvidence& evidence : tuning.evidence)
    json["held_out"].push_back(json_of(evidence));
  return json;
}

}  // namespace stamp
