#pragma once
// Threads of the whole program: one OpenMP team, shared with oneDNN.
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <mutex>

namespace stamp {

/// Number of threads used by parallel_for and by oneDNN; 0 means one per available core.
/// Throws std::invalid_argument when negative or above 1024.
void set_threads(int count);
int threads();

/// Calls body(i) for every i in [0, count), in any order, on all threads. The first exception
/// thrown by a body is rethrown here after all have ended. Nested calls run on the calling thread.
template <class Body>
void parallel_for(int64_t count, Body&& body) {
  if (count <= 1 || omp_in_parallel()) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  std::exception_ptr error;
  std::mutex guard;
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t i = 0; i < count; ++i) {
    try {
      body(i);
    } catch (...) {
      const std::lock_guard lock(guard);
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

/// Splits [0, count) into ranges of at least `grain` items and calls body(begin, end) for each.
template <class Body>
void parallel_ranges(int64_t count, int64_t grain, Body&& body) {
  const int64_t parts = std::max<int64_t>(
      1, std::min<int64_t>(count / std::max<int64_t>(grain, 1), int64_t{4} * threads()));
  parallel_for(parts, [&](int64_t part) {
    const int64_t begin = count * part / parts, end = count * (part + 1) / parts;
    if (begin < end) body(begin, end);
  });
}

}  // namespace stamp
