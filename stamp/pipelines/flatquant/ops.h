#pragma once
// Steps of a decoder block with derivatives by hand, for learning transforms (METHODS 7). For a
// step y = f(x) the backward function takes dL/dy and gives dL/dx; gradients of parameters are
// added to what their argument holds. All run on all threads.
#include <span>
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/quant/feature_map.h"

namespace stamp::flatquant {

/// a b of views or their transposes.
Matrix multiply(ConstFloatView a, bool transpose_a, ConstFloatView b, bool transpose_b);
void add_to(Matrix& sum, const Matrix& x);
/// dL/dM from dL/d(M^-T) and M^-T.
Matrix inverse_transposed_backward(const Matrix& inverse, const Matrix& gradient);

/// Rows x -> left^T (x * scale) right (FeatureMap without rotation and mean).
struct Mapped {
  Matrix scaled, half, out;  // half: after left
};
Mapped map_forward(ConstFloatView x, const FeatureMap& map);
Matrix map_backward(const Mapped& state, ConstFloatView x, const FeatureMap& map,
                    const Matrix& gradient, FeatureMap& map_gradient);
/// The map of weights, T^-T: the same steps with other parameters.
FeatureMap inverse_map(const FeatureMap& map);
/// dL/dT added to `gradient` from dL/dT^-T.
void inverse_map_backward(const FeatureMap& inverse, const FeatureMap& inverse_gradient,
                          FeatureMap& gradient);
/// A gradient of the map's shape, zero.
FeatureMap zeros_like(const FeatureMap& map);

/// Min-max quantization with clipping ratios sigmoid(logit), one grid for `group` columns of a row.
struct QuantSpec {
  int bits = 4;  // 16: none
  bool symmetric = true;
  int64_t group = 0;  // 0: the row
  bool round = true;  // false: only clamped, which is what derivatives are checked with
};
/// Logits of the ends of the range: one pair for all rows, or one per row.
struct ClipLogits {
  std::vector<float> low, high;
};
struct Rounded {
  Matrix out;
  Matrix slope;                 // d out / d scale, of clamped values too
  std::vector<int8_t> clamped;  // -1, 0, 1
};
Rounded quantize_forward(ConstFloatView x, const QuantSpec& spec, const ClipLogits& clip);
/// Rounding passes gradients straight through.
Matrix quantize_backward(const Rounded& state, ConstFloatView x, const QuantSpec& spec,
                         const ClipLogits& clip, const Matrix& gradient, ClipLogits& clip_gradient);

/// dL/dx of y = x rsqrt(mean(x^2) + eps) weight.
Matrix rms_norm_backward(ConstFloatView x, std::span<const float> weight, double eps,
                         const Matrix& gradient);

/// y = silu(gate) up.
Matrix gate_forward(const Matrix& gate, const Matrix& up);
void gate_backward(const Matrix& gate, const Matrix& up, const Matrix& gradient, Matrix& d_gate,
                   Matrix& d_up);

struct HeadCounts {
  int64_t heads = 1, kv_heads = 1, head_dim = 1;
};
/// Causal attention of q [tokens, heads * head_dim] over k, v [tokens, kv_heads * head_dim].
struct Attended {
  Matrix out;
  std::vector<Matrix> probabilities;  // of each head
};
Attended attention_forward(const Matrix& q, const Matrix& k, const Matrix& v, HeadCounts counts);
void attention_backward(const Attended& state, const Matrix& q, const Matrix& k, const Matrix& v,
                        HeadCounts counts, const Matrix& gradient, Matrix& dq, Matrix& dk,
                        Matrix& dv);

}  // namespace stamp::flatquant
