#pragma once
// What the system lets this process use.
#include <cstdint>
#include <filesystem>
#include <optional>

namespace stamp {

struct HostLimits {
  int64_t cpus = 0;                   // online
  int64_t affinity_cpus = 0;          // this process may run on
  std::optional<double> cgroup_cpus;  // CPU time per time that the control groups allow
  int64_t memory_bytes = 0, available_bytes = 0;
  std::optional<int64_t> cgroup_memory_bytes;  // the least limit of the control groups
  std::optional<int64_t> address_space_bytes;  // RLIMIT_AS

  /// Processors' worth of time that threads can get.
  double usable_cpus() const;
  /// Least of the limits on memory.
  int64_t usable_bytes() const;
};

/// Reads the files below `root` (/proc and /sys/fs/cgroup, versions 1 and 2) and asks the system;
/// what cannot be read is left at 0 or empty.
HostLimits read_host_limits(const std::filesystem::path& root = "/");

}  // namespace stamp
