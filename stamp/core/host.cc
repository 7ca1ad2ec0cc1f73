#include "stamp/core/host.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>
#include <vector>

namespace stamp {
namespace {

namespace fs = std::filesystem;

/// Words of a small file; none when it cannot be read.
std::vector<std::string> words_of(const fs::path& file) {
  std::ifstream stream(file);
  std::vector<std::string> words;
  for (std::string word; words.size() < 10000 && stream >> word;) words.push_back(word);
  return words;
}

/// Nothing for "max" and other text that is no number above 0.
std::optional<int64_t> number(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole && value > 0 ? std::optional(value) : std::nullopt;
}

template <class T>
void lower(std::optional<T>& limit, T value) {
  limit = std::min(limit.value_or(value), value);
}

void read_memory(const fs::path& root, HostLimits& limits) {
  const std::vector<std::string> words = words_of(root / "proc/meminfo");
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const int64_t bytes = number(words[i + 1]).value_or(0) * 1024;
    if (words[i] == "MemTotal:") limits.memory_bytes = bytes;
    if (words[i] == "MemAvailable:") limits.available_bytes = bytes;
  }
}

void add_quota(const std::string& quota, const std::string& period, HostLimits& limits) {
  const auto microseconds = number(quota), per = number(period);
  if (microseconds && per)
    lower(limits.cgroup_cpus, static_cast<double>(*microseconds) / static_cast<double>(*per));
}

void add_memory(const fs::path& file, HostLimits& limits) {
  constexpr int64_t kUnlimited = int64_t{1} << 60;  // version 1 writes a huge number
  for (const std::string& word : words_of(file))
    if (const auto bytes = number(word); bytes && *bytes < kUnlimited)
      lower(limits.cgroup_memory_bytes, *bytes);
}

/// Version 2: every group from this process's up to the root may have limits.
void read_unified_groups(const fs::path& mount, const std::string& group, HostLimits& limits) {
  fs::path relative = fs::path(group).relative_path().lexically_normal();
  for (;; relative = relative.parent_path()) {
    const fs::path folder = mount / relative;
    const std::vector<std::string> quota = words_of(folder / "cpu.max");
    if (quota.size() == 2) add_quota(quota[0], quota[1], limits);
    add_memory(folder / "memory.max", limits);
    if (relative.empty()) return;
  }
}

void read_groups(const fs::path& root, HostLimits& limits) {
  const fs::path mount = root / "sys/fs/cgroup";
  for (const std::string& line : words_of(root / "proc/self/cgroup"))
    if (line.starts_with("0::") && line.find("..") == line.npos)
      read_unified_groups(mount, line.substr(3), limits);
  const std::vector<std::string> quota = words_of(mount / "cpu/cpu.cfs_quota_us"),
                                 period = words_of(mount / "cpu/cpu.cfs_period_us");
  if (quota.size() == 1 && period.size() == 1) add_quota(quota[0], period[0], limits);
  add_memory(mount / "memory/memory.limit_in_bytes", limits);
}

int64_t affinity_count() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 0;
}

}  // namespace

double HostLimits::usable_cpus() const {
  const auto count = static_cast<double>(affinity_cpus > 0 ? affinity_cpus : cpus);
  return std::min(count, cgroup_cpus.value_or(count));
}

int64_t HostLimits::usable_bytes() const {
  return std::min({available_bytes, cgroup_memory_bytes.value_or(available_bytes),
                   address_space_bytes.value_or(available_bytes)});
}

HostLimits read_host_limits(const fs::path& root) {
  HostLimits limits{.cpus = sysconf(_SC_NPROCESSORS_ONLN), .affinity_cpus = affinity_count()};
  read_memory(root, limits);
  read_groups(root, limits);
  rlimit address{};
  if (getrlimit(RLIMIT_AS, &address) == 0 && address.rlim_cur != RLIM_INFINITY)
    limits.address_space_bytes = static_cast<int64_t>(address.rlim_cur);
  return limits;
}

}  // namespace stamp
