#pragma once
// The parts that verify_transform() is made of. A checker returns false for names of other
// families; names of its own it checks unless `result` is null.
#include <charconv>
#include <optional>
#include <string_view>

#include "stamp/io/safetensors.h"
#include "stamp/pipelines/verify_checks.h"

namespace stamp {

inline constexpr double kTransformTolerance = 1e-5;

/// "haar2d<levels>_<h>x<w>_<sub-band>" of inputs "x2_<h>x<w>" [h, w, cols]; sub-bands cA, cH<k>,
/// cV<k>, cD<k> of level k, and "packed": [[cA, cV], [cH, cD]] nested. In "..._oddpad_..." the last
/// row of an odd side was repeated.
bool check_haar2d(const Safetensors& file, const std::string& name, VerifyCase* result);
/// "klt_abs_<n>" |V^T x|, "klt_eigvals_<n>", "klt_eigvecs_<n>" (columns, any sign) of the
/// covariance "klt_cov_<n>".
bool check_klt(const Safetensors& file, const std::string& name, VerifyCase* result);

/// Reads a number >= 0 at the beginning of `text` and removes it.
template <class Int>
bool take_number(std::string_view& text, Int& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return error == std::errc() && value >= 0;
}
inline bool take(std::string_view& text, std::string_view word) {
  const bool there = text.starts_with(word);
  if (there) text.remove_prefix(word.size());
  return there;
}
/// Throws std::runtime_error when the matrix is empty.
Matrix input_matrix(const Safetensors& file, const std::string& name);
inline std::span<const float> values(const Matrix& m) {
  return {m.data(), static_cast<size_t>(m.size())};
}
/// Applies the feature transform, which acts on rows, to columns.
void hadamard_columns(Matrix& x);

}  // namespace stamp
