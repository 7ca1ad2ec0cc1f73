#include "stamp/core/parallel.h"

#include <atomic>

#include "stamp/core/error.h"

namespace stamp {

void set_threads(int count) {
  if (count < 0 || count > 1024) throw_argument("threads: expected 0 to 1024, got {}", count);
  omp_set_num_threads(count == 0 ? omp_get_num_procs() : count);
}

void start_threads(int count) {
  set_threads(count);
  std::atomic<int> started{0};
#pragma omp parallel
  ++started;
}

int threads() { return omp_get_max_threads(); }

}  // namespace stamp
