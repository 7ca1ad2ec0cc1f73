#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "stamp/core/communicator.h"
#include "stamp/core/version.h"
#include "stamp/pipelines/bench.h"
#include "stamp/pipelines/evaluate_print.h"

namespace stamp {
namespace {

struct Spread {
  double median = 0, low = 0, high = 0;
};

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values.front(), values.back()};
}

/// `amount` per second, for seconds of which each did that amount.
Spread rates_of(const std::vector<double>& seconds, double amount) {
  const Spread s = spread_of(seconds);
  return s.median > 0 ? Spread{amount / s.median, amount / s.high, amount / s.low} : Spread{};
}

/// a[i] / b[i] of what was measured in turns.
Spread ratios_of(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) ratios.push_back(a[i] / b[i]);
  return spread_of(ratios);
}

/// GOPS of the linears while they multiplied.
double gemm_gops(const BenchSide& side) {
  const double seconds = side.prefill_phases.seconds(Phase::kGemm);
  const auto passes = static_cast<double>(side.prefill_seconds.size());
  return seconds > 0 ? side.prefill_operations * passes / seconds * 1e-9 : 0;
}

/// GB/s: what the probe read, or, where that is more, what linears read while they decoded.
double best_read_rate(const BenchResult& result) {
  double best = spread_of(result.read_bandwidth).high;
  for (const BenchSide& side : result.sides) {
    const double seconds = side.decode_phases.seconds(Phase::kGemm);
    const auto tokens = static_cast<double>(side.decode_seconds.size());
    if (seconds > 0)
      best = std::max(best, static_cast<double>(side.weight_bytes) * tokens / seconds * 1e-9);
  }
  return best;
}

/// What decoding would reach if reading took all the time, in tokens/s.
double decode_bound(const BenchSide& side, double bandwidth) {
  return bandwidth * 1e9 / static_cast<double>(side.weight_bytes + side.cache_bytes);
}

/// Run by run, of the peak that was measured right after it.
Spread share_of_peaks(const LinearTimes& linear) {
  std::vector<double> best;  // seconds at the peak
  for (const double gops : linear.peak_gops) best.push_back(linear.operations() * 1e-9 / gops);
  return ratios_of(best, linear.seconds);
}

Json to_json(const Spread& s) { return {{"median", s.median}, {"min", s.low}, {"max", s.high}}; }

Json phases_to_json(const PhaseTimes& times) {
  Json json = Json::object();
  for (size_t i = 0; i < kPhaseNames.size(); ++i)
    json[std::string(kPhaseNames[i])] = times.seconds(static_cast<Phase>(i));
  return json;
}

Json side_to_json(const BenchSide& side, const BenchOptions& options, double bandwidth) {
  Json json = {{"recipe", side.recipe.name},
               {"simulated", side.simulated},
               {"lm_head_bits", side.recipe.lm_head.bits},
               {"load_seconds", side.load_seconds},
               {"weight_bytes", side.weight_bytes}};
  if (options.prefill > 0)
    json["prefill"] = {
        {"tokens", options.prefill},
        {"seconds", side.prefill_seconds},
        {"tokens_per_second",
         to_json(rates_of(side.prefill_seconds, static_cast<double>(options.prefill)))},
        {"phase_seconds", phases_to_json(side.prefill_phases)},
        {"gemm_gops", gemm_gops(side)}};
  if (options.decode > 0)
    json["decode"] = {{"depth", options.depth},
                      {"seconds", side.decode_seconds},
                      {"tokens_per_second", to_json(rates_of(side.decode_seconds, 1))},
                      {"phase_seconds", phases_to_json(side.decode_phases)},
                      {"cache_bytes", side.cache_bytes},
                      {"bound_tokens_per_second", decode_bound(side, bandwidth)}};
  return json;
}

std::string describe_phases(const PhaseTimes& times) {
  std::vector<std::string> shares;
  for (size_t i = 0; i < kPhaseNames.size(); ++i)
    if (const double seconds = times.seconds(static_cast<Phase>(i)); seconds > 0)
      shares.push_back(fmt::format("{} {:.1f} %", kPhaseNames[i], 100 * seconds / times.total()));
  return fmt::format("  time: {}\n", fmt::join(shares, ", "));
}

/// " = 78.0 % of the peak", nothing where the peak is not to be believed.
std::string share_of_peak(double gops, const DotPeak& peak) {
  return peak.credible() ? fmt::format(" = {:.1f} % of the peak", 100 * gops / peak.gops) : "";
}

std::string model_name(const BenchOptions& options) {
  return options.model.empty() ? options.shape : options.model.string();
}

/// Nothing in a process that is alone.
std::string describe_processes(const BenchOptions& options) {
  if (communicator().size() == 1) return "";
  return fmt::format(", {} of {} processes",
                     options.split == ModelSplit::kTensor ? "tensor split" : "pipeline",
                     communicator().size());
}

std::string describe_load(const BenchSide& side) {
  const double bytes = static_cast<double>(side.weight_bytes);
  return fmt::format("loaded {:.0f} MB of weights in {:.2f} s ({:.2f} GB/s)\n", bytes * 1e-6,
                     side.load_seconds, bytes * 1e-9 / side.load_seconds);
}

std::string describe_prefill(const BenchSide& side, const BenchOptions& options,
                             const DotPeak& peak) {
  const Spread rate = rates_of(side.prefill_seconds, static_cast<double>(options.prefill));
  const double gops = gemm_gops(side);
  return fmt::format("prefill of {} tokens: {:.1f} tokens/s ({:.1f} to {:.1f})\n", options.prefill,
                     rate.median, rate.low, rate.high) +
         describe_phases(side.prefill_phases) +
         fmt::format("  products of the linears: {:.0f} GOPS{}\n", gops, share_of_peak(gops, peak));
}

std::string describe_decode(const BenchSide& side, const BenchOptions& options, double bandwidth) {
  const Spread rate = rates_of(side.decode_seconds, 1);
  const double bound = decode_bound(side, bandwidth);
  return fmt::format("decoding at depth {}: {:.2f} tokens/s ({:.2f} to {:.2f})\n", options.depth,
                     rate.median, rate.low, rate.high) +
         describe_phases(side.decode_phases) +
         fmt::format(
             "  reads {:.0f} MB of weights and {:.0f} MB of cache per token; {:.1f} GB/s allow "
             "{:.2f} tokens/s: {:.1f} % of that\n",
             static_cast<double>(side.weight_bytes) * 1e-6,
             static_cast<double>(side.cache_bytes) * 1e-6, bandwidth, bound,
             100 * rate.median / bound);
}

std::string describe_ratios(const BenchResult& result) {
  const BenchSide &a = result.sides[0], &b = result.sides[1];
  std::string text;
  const auto add = [&](const char* what, const Spread& ratio) {
    if (ratio.median > 0)
      text += fmt::format("time of {} / {}, {}: {:.4f} ({:.4f} to {:.4f})\n", b.recipe.name,
                          a.recipe.name, what, ratio.median, ratio.low, ratio.high);
  };
  add("prefill", ratios_of(b.prefill_seconds, a.prefill_seconds));
  add("decoding", ratios_of(b.decode_seconds, a.decode_seconds));
  return text;
}

std::string describe_peak(const DotPeak& peak) {
  return fmt::format(
      "dot-product peak {:.0f} GOPS ({:.1f} operations per cycle and core of {:.0f} at {:.2f} "
      "GHz){}\n",
      peak.gops, peak.core.ops_per_cycle, peak.core.expected, peak.core.ghz,
      peak.credible() ? "" : ": not reached, so that no share of it is given");
}

}  // namespace

Json to_json(const BenchResult& result, const BenchOptions& options) {
  const double bandwidth = best_read_rate(result);
  Json sides = Json::array(), linears = Json::array();
  for (const BenchSide& side : result.sides)
    sides.push_back(side_to_json(side, options, bandwidth));
  for (const LinearTimes& linear : result.linears)
    linears.push_back({{"recipe", linear.recipe},
                       {"shape", {linear.tokens, linear.in_dim, linear.out_dim}},
                       {"seconds", linear.seconds},
                       {"peak_gops", linear.peak_gops},
                       {"share_of_peak", to_json(share_of_peaks(linear))},
                       {"gops", to_json(rates_of(linear.seconds, linear.operations() * 1e-9))}});
  return {{"kind", "bench"},
          {"model", model_name(options)},
          {"processes", communicator().size()},
          {"compute", compute_name(options.compute)},
          {"sides", sides},
          {"linears", linears},
          {"dot_peak",
           {{"gops", result.peak.gops},
            {"ghz", result.peak.core.ghz},
            {"operations_per_cycle", result.peak.core.ops_per_cycle},
            {"expected_per_cycle", result.peak.core.expected},
            {"credible", result.peak.credible()}}},
          {"read_gb_per_second", result.read_bandwidth},
          {"peak_rss_bytes", result.peak_rss_bytes},
          {"machine", machine_description()},
          {"commit", build_commit()},
          {"partial", result.partial}};
}

std::string to_text(const BenchResult& result, const BenchOptions& options) {
  const double bandwidth = best_read_rate(result);
  std::string text;
  for (const BenchSide& side : result.sides) {
    text += fmt::format("{}, recipe {}{}, output head of {} bits{}\n", model_name(options),
                        side.recipe.name, side.simulated ? " (simulated)" : "",
                        side.recipe.lm_head.bits, describe_processes(options));
    text += describe_load(side);
    if (!side.prefill_seconds.empty()) text += describe_prefill(side, options, result.peak);
    if (!side.decode_seconds.empty()) text += describe_decode(side, options, bandwidth);
  }
  if (result.sides.size() == 2) text += describe_ratios(result);
  for (const LinearTimes& linear : result.linears) {
    const Spread gops = rates_of(linear.seconds, linear.operations() * 1e-9);
    const Spread share = share_of_peaks(linear);
    text += fmt::format(
        "linear {}x{}->{}, recipe {}: {:.0f} GOPS ({:.0f} to {:.0f}) = {:.1f} % of the peak "
        "measured after each run ({:.1f} to {:.1f})\n",
        linear.tokens, linear.in_dim, linear.out_dim, linear.recipe, gops.median, gops.low,
        gops.high, 100 * share.median, 100 * share.low, 100 * share.high);
  }
  text += describe_peak(result.peak);
  text += fmt::format("peak memory {:.0f} MiB\nmachine: {}; commit {}\n",
                      static_cast<double>(result.peak_rss_bytes) / (1 << 20), machine_description(),
                      build_commit());
  return result.partial ? text + "interrupted: fewer runs than asked for\n" : text;
}

}  // namespace stamp
