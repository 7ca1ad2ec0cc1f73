#pragma once
// The Karhunen-Loeve transform along the token axis: eigenvectors of a calibrated covariance.
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "stamp/quant/sequence_transform.h"

namespace stamp {

/// Most tokens of a covariance: its eigenvectors take O(n^3).
inline constexpr int64_t kMaxKltTokens = 4096;

/// S = E[x x^T] [n, n] of n neighbouring tokens and the eigenvectors of its leading parts.
class KltBasis {
 public:
  /// Row-major; only the lower half is read. Throws std::invalid_argument when the size is not that
  /// of a square of 1 to kMaxKltTokens rows, or a value is not finite.
  explicit KltBasis(std::vector<float> covariance);
  int64_t tokens() const { return tokens_; }

  struct Vectors {
    Matrix rows, columns;  // V, eigenvalues descending, and V^T
  };
  /// Of the first `count` <= tokens() rows and columns of S; remembered. Safe to call from any
  /// thread.
  std::shared_ptr<const Vectors> vectors(int64_t count) const;

 private:
  std::vector<float> covariance_;
  int64_t tokens_ = 0;
  mutable std::mutex guard_;
  mutable std::map<int64_t, std::shared_ptr<const Vectors>> vectors_;
};

/// In place, orthonormal, with params.basis: blocks of basis->tokens() rows, and a shorter last one
/// whose vectors are those of the leading part of S, are transformed alone. Rows sorted by their
/// place in the block divided by its length, the earlier block first on ties.
void klt_forward(FloatView x, const TransformParams& params);
void klt_inverse(FloatView x, const TransformParams& params);
int64_t klt_run(int64_t tokens, const TransformParams& params);

}  // namespace stamp
