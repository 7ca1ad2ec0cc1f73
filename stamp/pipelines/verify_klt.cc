#include <cmath>

#include "stamp/core/error.h"
#include "stamp/pipelines/verify_transform_parts.h"
#include "stamp/quant/klt.h"

namespace stamp {
namespace {

constexpr double kVectorTolerance = 1e-4;  // close eigenvalues make close vectors mix

Matrix magnitudes(Matrix m) {
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = std::abs(m.data()[i]);
  return m;
}

/// Diagonal of V S V^T.
std::vector<float> eigenvalues(const Matrix& v, const Matrix& s) {
  std::vector<float> result;
  for (int64_t k = 0; k < v.rows(); ++k) {
    double sum = 0;
    for (int64_t i = 0; i < s.rows(); ++i)
      for (int64_t j = 0; j < s.cols(); ++j) sum += double{v(k, i)} * s(i, j) * v(k, j);
    result.push_back(static_cast<float>(sum));
  }
  return result;
}

}  // namespace

bool check_klt(const Safetensors& file, const std::string& name, VerifyCase* result) {
  std::string_view rest = name;
  const bool abs = take(rest, "klt_abs_"), vals = !abs && take(rest, "klt_eigvals_");
  int64_t tokens = 0;
  if ((!abs && !vals && !take(rest, "klt_eigvecs_")) || !take_number(rest, tokens) || !rest.empty())
    return false;
  if (!result) return true;
  result->tolerance = kVectorTolerance;
  const std::string number = std::to_string(tokens);
  const Matrix covariance = input_matrix(file, "klt_cov_" + number);
  if (covariance.rows() != tokens || covariance.cols() != tokens)
    throw_runtime("{}: expected a covariance of {} tokens, got [{}, {}]", name, tokens,
                  covariance.rows(), covariance.cols());
  TransformParams params;
  params.basis = std::make_shared<const KltBasis>(
      std::vector<float>(covariance.data(), covariance.data() + covariance.size()));
  const Matrix want = to_matrix(file.at(name));
  const auto vectors = params.basis->vectors(tokens);
  if (vals) {
    check_close(*result, name, eigenvalues(vectors->rows, covariance), values(want));
  } else if (abs) {
    const Matrix original = input_matrix(file, "x_" + number);
    Matrix x = original;
    klt_forward(x.view(), params);
    check_close(*result, name, values(magnitudes(x)), values(want));
    klt_inverse(x.view(), params);
    check_close(*result, name + " inverted", values(x), values(original));
  } else {
    check_close(*result, name, values(magnitudes(vectors->columns)), values(magnitudes(want)));
  }
  return true;
}

}  // namespace stamp
