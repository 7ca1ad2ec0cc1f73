#pragma once
// What this machine offers the program, and what stands in its way.
#include <string>
#include <vector>

#include "stamp/core/host.h"
#include "stamp/io/json.h"
#include "stamp/pipelines/machine_limits.h"

namespace stamp {

struct Diagnosis {
  std::string machine, version, commit;
  std::vector<std::string> isas;       // that build and processor have
  std::string active_isa, forced_isa;  // forced_isa: STAMP_ISA, empty when not set
  bool fast_bf16 = false;
  int threads = 0;
  HostLimits host;
  DotPeak dot;
  double read_gb_per_second = 0;    // the best of a few passes
  std::vector<std::string> advice;  // empty: nothing stands in the way
};

/// Takes about a second, and up to 256 MiB of memory.
Diagnosis diagnose();
/// What follows from limits and threads; without measurements.
std::vector<std::string> advice_for(const Diagnosis& diagnosis);
std::string to_text(const Diagnosis& diagnosis);
Json to_json(const Diagnosis& diagnosis);

}  // namespace stamp
