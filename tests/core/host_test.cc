#include "stamp/core/host.h"

#include <gtest/gtest.h>

#include <fstream>

namespace stamp {
namespace {

namespace fs = std::filesystem;

/// A root with files of its own.
class HostLimitsTest : public testing::Test {
 protected:
  HostLimitsTest() {
    root = fs::path(testing::TempDir()) /
           testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root);
  }
  ~HostLimitsTest() override { fs::remove_all(root); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name) << text;
  }

  fs::path root;
};

TEST_F(HostLimitsTest, ThisMachineHasProcessorsAndMemory) {
  const HostLimits limits = read_host_limits();
  EXPECT_GE(limits.affinity_cpus, 1);
  EXPECT_GT(limits.usable_cpus(), 0);
  EXPECT_GT(limits.available_bytes, 0);
  EXPECT_LE(limits.available_bytes, limits.memory_bytes);
}

TEST_F(HostLimitsTest, LeastLimitOfNestedGroupsCounts) {
  write("proc/self/cgroup", "0::/outer/inner\n");
  write("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 900 kB\n");
  write("sys/fs/cgroup/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/outer/cpu.max", "50000 100000\n");
  write("sys/fs/cgroup/outer/inner/cpu.max", "150000 100000\n");
  write("sys/fs/cgroup/outer/memory.max", "400000\n");
  write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
  const HostLimits limits = read_host_limits(root);
  EXPECT_EQ(limits.cgroup_cpus, 0.5);
  EXPECT_EQ(limits.usable_cpus(), 0.5);
  EXPECT_EQ(limits.memory_bytes, 1000 * 1024);
  EXPECT_EQ(limits.cgroup_memory_bytes, 400000);
  EXPECT_LE(limits.usable_bytes(), 400000);
}

TEST_F(HostLimitsTest, GroupsOfVersion1) {
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_FALSE(read_host_limits(root).cgroup_cpus);
  EXPECT_FALSE(read_host_limits(root).cgroup_memory_bytes);
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "1048576\n");
  EXPECT_EQ(read_host_limits(root).cgroup_cpus, 2.0);
  EXPECT_EQ(read_host_limits(root).cgroup_memory_bytes, 1048576);
}

TEST_F(HostLimitsTest, BrokenFilesAreNoLimits) {
  write("proc/self/cgroup", "0::/../../etc\nnonsense\n");
  write("proc/meminfo", "MemTotal: many kB\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "99999999999999999999999\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "0\n");
  const HostLimits limits = read_host_limits(root);
  EXPECT_EQ(limits.memory_bytes, 0);
  EXPECT_FALSE(limits.cgroup_cpus);
  EXPECT_FALSE(limits.cgroup_memory_bytes);
}

}  // namespace
}  // namespace stamp
