#include "stamp/core/progress.h"

#include <gtest/gtest.h>

#include <csignal>
#include <vector>

namespace stamp {
namespace {

TEST(Interrupts, RunOnAStackOfTheirOwn) {
  struct sigaction before[2];
  sigaction(SIGINT, nullptr, &before[0]);
  sigaction(SIGTERM, nullptr, &before[1]);
  catch_interrupts();
  stack_t stack{};
  sigaltstack(nullptr, &stack);
  EXPECT_EQ(stack.ss_flags & SS_DISABLE, 0);
  EXPECT_GE(stack.ss_size, size_t{1} << 16);  // vector registers and tiles fit
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction action {};
    sigaction(signal, nullptr, &action);
    EXPECT_NE(action.sa_flags & SA_ONSTACK, 0);
    EXPECT_FALSE(interrupted());
    raise(signal);
    EXPECT_TRUE(interrupted());
    clear_interrupt();
  }
  sigaction(SIGINT, &before[0], nullptr);
  sigaction(SIGTERM, &before[1], nullptr);
}

TEST(Progress, ListenerHearsOfWorkHoweverShort) {
  std::vector<ProgressState> states;
  set_progress_listener([&](const ProgressState& state) { states.push_back(state); });
  {
    Progress progress("work", 10, "steps");
    for (int i = 0; i < 10; ++i) progress.advance(1);
  }
  set_progress_listener({});
  { Progress progress("unheard", 1, "steps"); }
  ASSERT_FALSE(states.empty());
  EXPECT_EQ(states.back().label, "work");
  EXPECT_EQ(states.back().unit, "steps");
  EXPECT_EQ(states.back().done, 10);
  EXPECT_EQ(states.back().total, 10);
  EXPECT_TRUE(states.back().last);
}

TEST(Interrupts, LastUntilTheyAreCleared) {
  EXPECT_FALSE(interrupted());
  interrupt();
  EXPECT_TRUE(interrupted());
  clear_interrupt();
  EXPECT_FALSE(interrupted());
}

}  // namespace
}  // namespace stamp
