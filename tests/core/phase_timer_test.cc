#include "stamp/core/phase_timer.h"

#include <gtest/gtest.h>

#include <thread>

namespace stamp {
namespace {

using namespace std::chrono_literals;

TEST(PhaseTimer, TakesInnerScopesAwayFromOuterOnes) {
  PhaseTimes times;
  const auto start = std::chrono::steady_clock::now();
  {
    const PhaseScope outer(&times, Phase::kOther);
    {
      const PhaseScope gemm(&times, Phase::kGemm);
      std::this_thread::sleep_for(20ms);
      const PhaseScope transform(&times, Phase::kTransform);
      std::this_thread::sleep_for(10ms);
    }
    std::this_thread::sleep_for(1ms);
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_GE(times.seconds(Phase::kGemm), 0.020);
  EXPECT_GE(times.seconds(Phase::kTransform), 0.010);
  EXPECT_GE(times.seconds(Phase::kOther), 0.001);
  EXPECT_EQ(times.seconds(Phase::kNorm), 0);
  EXPECT_LE(times.total(), elapsed.count());  // nothing is counted twice
}

TEST(PhaseTimer, LeavesOutWhatIsBetweenScopes) {
  PhaseTimes times;
  { const PhaseScope scope(&times, Phase::kNorm); }
  const double before = times.total();
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(times.total(), before);
  const auto start = std::chrono::steady_clock::now();
  { const PhaseScope scope(&times, Phase::kNorm); }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_LE(times.total() - before, elapsed.count());
}

TEST(PhaseTimer, MovesTimeOfFusedLoopsAndClears) {
  PhaseTimes times;
  times.move(Phase::kGemm, Phase::kTransform, 0.25);
  EXPECT_EQ(times.seconds(Phase::kTransform), 0.25);
  EXPECT_EQ(times.total(), 0);
  times.clear();
  EXPECT_EQ(times.seconds(Phase::kGemm), 0);
}

}  // namespace
}  // namespace stamp
