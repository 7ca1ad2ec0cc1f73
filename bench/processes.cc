// What it takes several processes to add up hidden states, and one to send them to the next.
// Started by mpirun or bench/hosts.sh; prints a table.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "stamp/core/communicator.h"
#include "stamp/core/error.h"

namespace {

using namespace stamp;

/// Median of some runs, in milliseconds.
template <class Body>
double milliseconds(Body&& body) {
  std::vector<double> times;
  for (int run = 0; run < 9; ++run) {
    communicator().gather("");  // all begin together
    const auto start = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double, std::milli> taken =
        std::chrono::steady_clock::now() - start;
    if (run > 1) times.push_back(taken.count());
  }
  std::nth_element(times.begin(), times.begin() + std::ssize(times) / 2, times.end());
  return times[times.size() / 2];
}

void measure() {
  Communicator& processes = communicator();
  const int next = (processes.rank() + 1) % processes.size();
  const int before = (processes.rank() + processes.size() - 1) % processes.size();
  if (is_first_process())
    fmt::print(
        "{} processes\n| features x tokens | KB of fp32 | sum, ms | to the next, ms |\n"
        "|---|---|---|---|\n",
        processes.size());
  for (const int64_t features : {2048, 4096, 8192})
    for (const int64_t tokens : {1, 16, 256}) {
      std::vector<float> values(static_cast<size_t>(features * tokens));
      const double sum = milliseconds([&] { processes.sum(values); });
      const double hop = milliseconds([&] {
        processes.send(std::as_bytes(std::span(values)), next);
        processes.receive(before);
      });
      if (is_first_process())
        fmt::print("| {} x {} | {} | {:.2f} | {:.2f} |\n", features, tokens,
                   values.size() * sizeof(float) / 1024, sum, hop);
    }
}

}  // namespace

int main() {
  try {
    join_processes();
    if (communicator().size() == 1)
      throw_runtime("start it by mpirun, with two processes at least");
    measure();
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "processes: {}\n", error.what());
    return 1;
  }
}
