#pragma once
// Complex discrete Fourier transforms of many columns at once, for the DCT.
#include <cstdint>
#include <memory>
#include <vector>

namespace stamp {

/// Columns transformed together: the innermost, contiguous dimension.
inline constexpr int64_t kFftLanes = 16;

/// Real and imaginary parts, each [length][kFftLanes].
struct ComplexLanes {
  explicit ComplexLanes(int64_t length)
      : re(static_cast<size_t>(length * kFftLanes)), im(static_cast<size_t>(length * kFftLanes)) {}
  std::vector<float> re, im;
};

/// Unnormalised forward DFT of any length n: radix 2 for powers of two, Bluestein's chirp
/// otherwise. Swapping the roles of re and im gives n times the inverse. O(n log n); fp32 with
/// twiddles computed in fp64.
class FftPlan {
 public:
  explicit FftPlan(int64_t length);
  /// Rows of the buffers that run() works on, at least `length`.
  int64_t buffer_rows() const { return buffer_rows_; }
  /// In place over the first `length` rows of `data`; both buffers have buffer_rows() rows.
  void run(ComplexLanes& data, ComplexLanes& scratch) const;

 private:
  struct Factors {
    std::vector<float> re, im;
  };
  static Factors unit_roots(int64_t count, int64_t period);
  void run_power_of_two(ComplexLanes& data, ComplexLanes& scratch) const;

  int64_t length_, buffer_rows_;
  Factors twiddles_;        // of the power-of-two transform of buffer_rows_
  Factors chirp_, filter_;  // Bluestein; empty for powers of two
};

/// The plan for one length, from a thread-safe cache of bounded size.
std::shared_ptr<const FftPlan> fft_plan(int64_t length);

}  // namespace stamp
