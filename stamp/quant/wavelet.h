#pragma once
// Wavelets other than Haar along the token axis: filter banks with periodic extension.
#include "stamp/core/tensor.h"

namespace stamp {

/// Low-pass filters of analysis and synthesis, both of `length` (even, at most 10) coefficients
/// that sum to sqrt 2; null synthesis: the analysis filter reversed, which makes L orthonormal. The
/// high-pass filters follow from them.
struct WaveletFilters {
  int length = 0;
  const double* analysis = nullptr;
  const double* synthesis = nullptr;
};

/// Daubechies' with 2 and 4 vanishing moments, her least asymmetric with 4, the coiflet with 2;
/// orthonormal.
extern const WaveletFilters kDb2, kDb4, kSym4, kCoif1;
/// Cohen-Daubechies-Feauveau 5/3 and 9/7, scaled to be nearly orthonormal.
extern const WaveletFilters kCdf53, kCdf97;

/// In place, as many of `levels` as the rows allow; rows [A_J, D_J, ..., D_1] as haar_bands(). One
/// level: A[i] = sum_j analysis[j] x[(2i + length / 2 - j) mod n]. When n is odd the last row
/// passes through as the last approximation, unscaled, and the others are the period.
void wavelet_forward(FloatView x, const WaveletFilters& filters, int levels);
void wavelet_inverse(FloatView x, const WaveletFilters& filters, int levels);

}  // namespace stamp
