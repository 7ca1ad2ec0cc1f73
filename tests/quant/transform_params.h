#pragma once
// Parameters that any sequence transform of the table accepts.
#include <cmath>

#include "stamp/quant/klt.h"

namespace stamp {

/// Covariance 0.9^|i - j| of `tokens` neighbours.
inline std::vector<float> decaying_covariance(int64_t tokens) {
  std::vector<float> covariance;
  for (int64_t i = 0; i < tokens; ++i)
    for (int64_t j = 0; j < tokens; ++j)
      covariance.push_back(std::pow(0.9f, static_cast<float>(std::abs(i - j))));
  return covariance;
}

inline std::shared_ptr<const KltBasis> decaying_basis(int64_t tokens) {
  return std::make_shared<const KltBasis>(decaying_covariance(tokens));
}

/// klt: blocks of 16 tokens.
inline TransformParams any_params(int levels) {
  TransformParams params(levels);
  params.klt_tokens = 16;
  params.basis = decaying_basis(16);
  return params;
}

}  // namespace stamp
