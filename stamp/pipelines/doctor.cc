#include "stamp/pipelines/doctor.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "stamp/core/cpu_features.h"
#include "stamp/core/parallel.h"
#include "stamp/core/version.h"

namespace stamp {
namespace {

constexpr int64_t kMostProbed = int64_t{1} << 28, kLeastProbed = int64_t{1} << 24;
constexpr int kPasses = 5;
constexpr double kGiga = 1073741824.0;

double measure_reads(int64_t usable_bytes) {
  const ReadBandwidth bandwidth(std::clamp(usable_bytes / 4, kLeastProbed, kMostProbed));
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) best = std::max(best, bandwidth.measure());
  return best;
}

std::string gigabytes(int64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / kGiga);
}

}  // namespace

std::vector<std::string> advice_for(const Diagnosis& d) {
  std::vector<std::string> advice;
  const double cpus = d.host.usable_cpus();
  if (cpus > 0 && d.threads > std::ceil(cpus))
    advice.push_back(fmt::format("{} threads share {:.1f} processors: pass --threads {}", d.threads,
                                 cpus, std::max(1, static_cast<int>(cpus))));
  if (!d.forced_isa.empty() && !d.isas.empty() && d.forced_isa != d.isas.back())
    advice.push_back(
        fmt::format("STAMP_ISA forces {}; this processor has {}", d.forced_isa, d.isas.back()));
  if (d.host.address_space_bytes)
    advice.push_back(
        fmt::format("the address space is limited to {} (ulimit -v): mapped weights "
                    "count, too",
                    gigabytes(*d.host.address_space_bytes)));
  if (d.dot.core.expected > 0 && !d.dot.credible())
    advice.push_back(
        fmt::format("a core reaches {:.0f} % of its dot-product peak: other programs or a "
                    "shared processor slow it down",
                    100 * d.dot.core.share()));
  return advice;
}

Diagnosis diagnose() {
  Diagnosis d{.machine = machine_description(),
              .version = version(),
              .commit = build_commit(),
              .active_isa = std::string(isa_name(active_isa())),
              .fast_bf16 = has_fast_bf16(),
              .threads = threads(),
              .host = read_host_limits()};
  if (const char* forced = std::getenv("STAMP_ISA")) d.forced_isa = forced;
  for (const Isa isa : kAllIsas)
    if (has_isa(isa)) d.isas.emplace_back(isa_name(isa));
  d.dot = measure_dot_peak();
  d.read_gb_per_second = measure_reads(d.host.usable_bytes());
  d.advice = advice_for(d);
  return d;
}

std::string to_text(const Diagnosis& d) {
  std::string text = fmt::format("stamp {} ({}) on {}\n", d.version, d.commit, d.machine);
  text += fmt::format("instruction sets  {}; in force: {}{}\n", fmt::join(d.isas, ", "),
                      d.active_isa, d.fast_bf16 ? ", bf16 products" : "");
  text += fmt::format("threads           {} in use; {} processors, {} allowed by affinity",
                      d.threads, d.host.cpus, d.host.affinity_cpus);
  text += d.host.cgroup_cpus ? fmt::format(", {:.2f} by control groups\n", *d.host.cgroup_cpus)
                             : ", no limit by control groups\n";
  text += fmt::format("dot products      {:.0f} GOPS of bytes, {:.1f} GHz\n", d.dot.gops,
                      d.dot.core.ghz);
  text +=
      fmt::format("memory            {:.1f} GB/s read; {} of {} available", d.read_gb_per_second,
                  gigabytes(d.host.available_bytes), gigabytes(d.host.memory_bytes));
  if (d.host.cgroup_memory_bytes)
    text += fmt::format(", {} by control groups", gigabytes(*d.host.cgroup_memory_bytes));
  if (d.host.address_space_bytes)
    text += fmt::format(", {} of address space", gigabytes(*d.host.address_space_bytes));
  text += "\n";
  for (const std::string& line : d.advice) text += "! " + line + "\n";
  return text;
}

Json to_json(const Diagnosis& d) {
  const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(nullptr); };
  return {{"machine", d.machine},
          {"version", d.version},
          {"commit", d.commit},
          {"instruction_sets", d.isas},
          {"instruction_set", d.active_isa},
          {"fast_bf16", d.fast_bf16},
          {"threads", d.threads},
          {"processors", d.host.cpus},
          {"affinity_processors", d.host.affinity_cpus},
          {"cgroup_processors", or_null(d.host.cgroup_cpus)},
          {"memory_bytes", d.host.memory_bytes},
          {"available_bytes", d.host.available_bytes},
          {"cgroup_memory_bytes", or_null(d.host.cgroup_memory_bytes)},
          {"address_space_bytes", or_null(d.host.address_space_bytes)},
          {"dot_gops", d.dot.gops},
          {"ghz", d.dot.core.ghz},
          {"read_gb_per_second", d.read_gb_per_second},
          {"advice", d.advice}};
}

}  // namespace stamp
