#include "stamp/pipelines/flatquant/block.h"

#include <algorithm>

#include "stamp/nn/layers.h"
#include "stamp/nn/matmul.h"

namespace stamp::flatquant {
namespace {

constexpr std::array<Site, kWeights> kInput = {kAttentionInput, kAttentionInput, kAttentionInput,
                                               kOutputInput,    kMlpInput,       kMlpInput,
                                               kDownInput};

/// The other way round.
RopeTable reversed(RopeTable rope) {
  for (int64_t i = 0; i < rope.sine.size(); ++i) rope.sine.data()[i] = -rope.sine.data()[i];
  return rope;
}

void add_rows_sum(std::vector<float>& sum, const Matrix& x) {
  for (int64_t i = 0; i < x.rows(); ++i)
    for (int64_t j = 0; j < x.cols(); ++j) sum[static_cast<size_t>(j)] += x(i, j);
}

void take(std::vector<std::span<float>>& spans, std::vector<float>& values) {
  if (!values.empty()) spans.emplace_back(values);
}

void take(std::vector<std::span<float>>& spans, Matrix& values) {
  if (values.size() > 0) spans.emplace_back(values.data(), static_cast<size_t>(values.size()));
}

/// Heads of W's rows as they leave: W_h := P^T W_h, and the bias with them.
Matrix map_heads(const Matrix& p, const Matrix& weight) {
  const int64_t dim = p.rows();
  Matrix out(weight.rows(), weight.cols());
  for (int64_t first = 0; first < weight.rows(); first += dim) {
    const Matrix part = multiply(p.view(), true, weight.view().rows_from(first, dim), false);
    std::copy_n(part.data(), part.size(), out.row(first));
  }
  return out;
}

}  // namespace

std::vector<std::span<float>> BlockParameters::transforms() {
  std::vector<std::span<float>> spans;
  for (FeatureMap& own : map) {
    take(spans, own.scale);
    take(spans, own.left);
    take(spans, own.right);
  }
  return spans;
}

std::vector<std::span<float>> BlockParameters::clips() {
  std::vector<std::span<float>> spans;
  for (ClipLogits& own : clip) take(spans, own.low), take(spans, own.high);
  for (ClipLogits& own : weight_clip) take(spans, own.low), take(spans, own.high);
  return spans;
}

BlockParameters BlockParameters::zeros() const {
  BlockParameters zeros;
  for (size_t i = 0; i < kSites; ++i) zeros.map[i] = zeros_like(map[i]);
  zeros.clip = clip;
  zeros.weight_clip = weight_clip;
  for (const std::span<float> part : zeros.clips()) std::fill(part.begin(), part.end(), 0.0f);
  return zeros;
}

BlockSpec block_spec(const LlmConfig& config, const Recipe& recipe) {
  BlockSpec spec{.config = config, .quant = {}, .weights = {}};
  const auto quant = [](const TokenSpec& token, int64_t group) {
    return QuantSpec{.bits = token.bits, .symmetric = token.quantizer.symmetric, .group = group};
  };
  for (const Site site : {kAttentionInput, kOutputInput, kMlpInput, kDownInput})
    spec.quant[site] = quant(recipe.activations, 0);
  spec.quant[kKey] = quant(recipe.k, config.head_dim);
  spec.quant[kValue] = quant(recipe.v, config.head_dim);
  spec.weights = {.bits = recipe.weights.bits,
                  .symmetric = recipe.weights.symmetric,
                  .group = recipe.weights.group};
  return spec;
}

/// One weight on its way to the product.
struct QuantizedBlock::Linear {
  Matrix plain;  // V: rows mapped to the basis of its heads
  std::vector<float> bias;
  Mapped mapped;
  Rounded rounded;
  Matrix gradient;  // of rounded.out, summed over windows
  std::vector<float> bias_gradient;
};

QuantizedBlock::QuantizedBlock(const BlockSpec& spec, const BlockWeights& weights,
                               const BlockParameters& parameters)
    : spec_(spec), weights_(weights), parameters_(parameters) {
  for (size_t site = 0; site < kSites; ++site) {
    FeatureMap map = parameters.map[site];
    if (site == kOutputInput) map.right = parameters.map[kValue].right;
    inverse_[site] = inverse_map(map);
    inverse_gradient_[site] = zeros_like(inverse_[site]);
  }
  q_map_.right = inverse_[kKey].right;  // q k^T stays what it was
  q_gradient_ = zeros_like(q_map_);
  for (size_t i = 0; i < kWeights; ++i) {
    Linear& own = linears_.emplace_back();
    own.plain = weights.weight[i];
    own.bias = weights.bias[i];
    if (i == kV) {
      own.plain = map_heads(parameters.map[kValue].right, own.plain);
      Matrix bias(static_cast<int64_t>(own.bias.size()), 1);
      std::copy(own.bias.begin(), own.bias.end(), bias.data());
      bias = map_heads(parameters.map[kValue].right, bias);
      std::copy_n(bias.data(), bias.size(), own.bias.begin());
    }
    own.mapped = map_forward(own.plain.view(), inverse_[kInput[i]]);
    own.rounded = quantize_forward(own.mapped.out.view(), spec.weights, parameters.weight_clip[i]);
    own.gradient = Matrix::zeros(own.plain.rows(), own.plain.cols());
    own.bias_gradient.resize(own.bias.size());
  }
}

QuantizedBlock::~QuantizedBlock() = default;

Matrix QuantizedBlock::forward(ConstFloatView x, const RopeTable& rope, Pass& pass) const {
  const LlmConfig& config = spec_.config;
  const HeadCounts counts{config.heads, config.kv_heads, config.head_dim};
  const auto site = [&](Site index, ConstFloatView input, Mapped& mapped, Rounded& rounded) {
    mapped = map_forward(input, parameters_.map[index]);
    rounded = quantize_forward(mapped.out.view(), spec_.quant[index], parameters_.clip[index]);
  };
  const auto linear = [&](Weight index, const Rounded& input) {
    const Linear& own = linears_[index];
    Matrix y(input.out.rows(), own.plain.rows());
    matmul_transposed(input.out.view(),
                      {DType::kF32, {y.cols(), own.plain.cols()}, own.rounded.out.data()}, own.bias,
                      y.view(), false);
    return y;
  };
  pass.norm1.reshape(x.rows, x.cols);
  rms_norm_rows(x, weights_.attention_norm, config.rms_norm_eps, pass.norm1.view());
  site(kAttentionInput, pass.norm1.view(), pass.in_map, pass.in);
  pass.q_plain = linear(kQ, pass.in);
  pass.k_plain = linear(kK, pass.in);
  pass.v = linear(kV, pass.in);
  apply_rope(pass.q_plain.view(), rope);
  apply_rope(pass.k_plain.view(), rope);
  pass.q_map = map_forward(pass.q_plain.view(), q_map_);
  site(kKey, pass.k_plain.view(), pass.k_map, pass.key);
  pass.value = quantize_forward(pass.v.view(), spec_.quant[kValue], parameters_.clip[kValue]);
  pass.attended = attention_forward(pass.q_map.out, pass.key.out, pass.value.out, counts);
  site(kOutputInput, pass.attended.out.view(), pass.o_map, pass.o);
  pass.mid = linear(kO, pass.o);
  add_rows(pass.mid.view(), x);

  pass.norm2.reshape(x.rows, x.cols);
  rms_norm_rows(pass.mid.view(), weights_.mlp_norm, config.rms_norm_eps, pass.norm2.view());
  site(kMlpInput, pass.norm2.view(), pass.mlp_map, pass.mlp);
  pass.gate = linear(kGate, pass.mlp);
  pass.up = linear(kUp, pass.mlp);
  pass.gated = gate_forward(pass.gate, pass.up);
  site(kDownInput, pass.gated.view(), pass.down_map, pass.down);
  Matrix out = linear(kDown, pass.down);
  add_rows(out.view(), pass.mid.view());
  return out;
}

Matrix QuantizedBlock::linear_backward(Weight index, const Rounded& input, const Matrix& gradient) {
  Linear& own = linears_[index];
  add_to(own.gradient, multiply(gradient.view(), true, input.out.view(), false));
  add_rows_sum(own.bias_gradient, gradient);
  return multiply(gradient.view(), false, own.rounded.out.view(), false);
}

void QuantizedBlock::backward(const RopeTable& rope, const Pass& pass, const Matrix& gradient,
                              BlockParameters& sum) {
  const LlmConfig& config = spec_.config;
  const HeadCounts counts{config.heads, config.kv_heads, config.head_dim};
  const auto site = [&](Site index, ConstFloatView input, const Mapped& mapped,
                        const Rounded& rounded, const Matrix& d) {
    const Matrix inner = quantize_backward(rounded, mapped.out.view(), spec_.quant[index],
                                           parameters_.clip[index], d, sum.clip[index]);
    return map_backward(mapped, input, parameters_.map[index], inner, sum.map[index]);
  };
  const Matrix d_gated = site(kDownInput, pass.gated.view(), pass.down_map, pass.down,
                              linear_backward(kDown, pass.down, gradient));
  Matrix d_gate, d_up;
  gate_backward(pass.gate, pass.up, d_gated, d_gate, d_up);
  Matrix d_mlp = linear_backward(kGate, pass.mlp, d_gate);
  add_to(d_mlp, linear_backward(kUp, pass.mlp, d_up));
  const Matrix d_norm2 = site(kMlpInput, pass.norm2.view(), pass.mlp_map, pass.mlp, d_mlp);
  Matrix d_mid =
      rms_norm_backward(pass.mid.view(), weights_.mlp_norm, config.rms_norm_eps, d_norm2);
  add_to(d_mid, gradient);

  const Matrix d_attended = site(kOutputInput, pass.attended.out.view(), pass.o_map, pass.o,
                                 linear_backward(kO, pass.o, d_mid));
  Matrix dq, dk, dv;
  attention_backward(pass.attended, pass.q_map.out, pass.key.out, pass.value.out, counts,
                     d_attended, dq, dk, dv);
  dv = quantize_backward(pass.value, pass.v.view(), spec_.quant[kValue], parameters_.clip[kValue],
                         dv, sum.clip[kValue]);
  dk = site(kKey, pass.k_plain.view(), pass.k_map, pass.key, dk);
  dq = map_backward(pass.q_map, pass.q_plain.view(), q_map_, dq, q_gradient_);
  const RopeTable back = reversed(rope);
  apply_rope(dq.view(), back);
  apply_rope(dk.view(), back);
  Matrix d_in = linear_backward(kQ, pass.in, dq);
  add_to(d_in, linear_backward(kK, pass.in, dk));
  add_to(d_in, linear_backward(kV, pass.in, dv));
  site(kAttentionInput, pass.norm1.view(), pass.in_map, pass.in, d_in);
}

void QuantizedBlock::finish(BlockParameters& sum) {
  for (size_t i = 0; i < kWeights; ++i) {
    Linear& own = linears_[i];
    const Site site = kInput[i];
    const Matrix d_mapped =
        quantize_backward(own.rounded, own.mapped.out.view(), spec_.weights,
                          parameters_.weight_clip[i], own.gradient, sum.weight_clip[i]);
    const Matrix d_plain = map_backward(own.mapped, own.plain.view(), inverse_[site], d_mapped,
                                        inverse_gradient_[site]);
    if (i != kV) continue;
    Matrix& d_value = sum.map[kValue].right;  // W_h' = P^T W_h: dP = W_h dW_h'^T
    const int64_t dim = d_value.rows();
    for (int64_t first = 0; first < d_plain.rows(); first += dim) {
      add_to(d_value, multiply(weights_.weight[kV].view().rows_from(first, dim), false,
                               d_plain.view().rows_from(first, dim), true));
      for (int64_t a = 0; a < dim; ++a)
        for (int64_t b = 0; b < dim; ++b)
          d_value(a, b) += weights_.bias[kV][static_cast<size_t>(first + a)] *
                           own.bias_gradient[static_cast<size_t>(first + b)];
    }
  }
  add_to(inverse_gradient_[kKey].right, q_gradient_.right);
  for (size_t site = 0; site < kSites; ++site) {
    if (site != kOutputInput) {
      inverse_map_backward(inverse_[site], inverse_gradient_[site], sum.map[site]);
      continue;
    }
    // Its right factor is that of V.
    add_to(sum.map[site].left,
           inverse_transposed_backward(inverse_[site].left, inverse_gradient_[site].left));
    add_to(sum.map[kValue].right,
           inverse_transposed_backward(inverse_[site].right, inverse_gradient_[site].right));
  }
}

}  // namespace stamp::flatquant
