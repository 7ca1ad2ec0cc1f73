#include "stamp/core/parallel.h"

#include "stamp/core/error.h"

namespace stamp {

void set_threads(int count) {
  if (count < 0 || count > 1024) throw_argument("threads: expected 0 to 1024, got {}", count);
  omp_set_num_threads(count == 0 ? omp_get_num_procs() : count);
}

int threads() { return omp_get_max_threads(); }

}  // namespace stamp
