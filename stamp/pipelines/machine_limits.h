#pragma once
// What this machine can do at best, measured by this process on all threads of the program.
#include "stamp/core/tensor.h"
#include "stamp/kernels/peak.h"

namespace stamp {

/// Products of bytes from registers alone, with the active instruction set.
struct DotPeak {
  double gops = 0;  // of all threads together
  Peak core;        // the thread that came least close to what is expected

  bool credible() const { return core.share() >= 0.9; }
};
/// Takes about `seconds`; the best of many short loops.
DotPeak measure_dot_peak(double seconds = 0.1);

/// Streaming reads from memory.
class ReadBandwidth {
 public:
  /// Takes `bytes` of memory, which should be far beyond the caches.
  explicit ReadBandwidth(int64_t bytes);
  /// GB/s of one pass, each thread over a part of its own.
  double measure() const;

 private:
  int64_t words_;
  AlignedBuffer buffer_;
};

}  // namespace stamp
