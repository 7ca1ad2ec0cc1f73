#include "stamp/nn/linear.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/nn/matmul.h"
#include "stamp/nn/row_loop.h"
#include "stamp/nn/site_statistics.h"
#include "stamp/quant/weight_quant.h"

namespace stamp {
namespace {

bool is_excluded(const Recipe& recipe, const std::vector<LinearWeight>& weights) {
  return std::any_of(weights.begin(), weights.end(), [&](const LinearWeight& weight) {
    return std::any_of(recipe.exclude.begin(), recipe.exclude.end(), [&](const std::string& part) {
      return weight.name.find(part) != std::string::npos;
    });
  });
}

void check_shapes(const std::string& site, const std::vector<LinearWeight>& weights) {
  if (weights.empty()) throw_argument("{}: a linear needs at least one weight", site);
  for (const LinearWeight& part : weights) {
    const Shape& shape = part.weight.shape;
    if (shape.size() != 2 || shape[1] < 1 || shape[1] != weights[0].weight.shape[1])
      throw_argument("{}: expected a weight [out_dim, in_dim] with the in_dim of its group, got {}",
                     part.name, to_string(shape));
    if (part.bias && part.bias->shape != Shape{shape[0]})
      throw_argument("{}: expected a bias of shape [{}], got {}", part.name, shape[0],
                     to_string(part.bias->shape));
  }
}

/// The tensor [rows, cols] as fp32, on all threads.
Matrix widened(const TensorView& tensor) {
  Matrix result(tensor.shape[0], tensor.shape[1]);
  for_each_row(result.rows(), result.cols(),
               [&](int64_t i) { to_f32(tensor, i * result.cols(), result.view().row_span(i)); });
  return result;
}

std::vector<float> load_bias(const std::optional<TensorView>& bias) {
  if (!bias) return {};
  std::vector<float> values(static_cast<size_t>(bias->size()));
  to_f32(*bias, 0, values);
  return values;
}

/// Channel means that are to be subtracted at this site; empty: none.
std::vector<float> centering_mean(const std::string& site, const Recipe& recipe,
                                  const Calibration* calibration, int64_t in_dim) {
  if (recipe.center == "none" || recipe.activations.bits == 16) return {};
  const SiteStatistics& statistics = statistics_of(site, calibration);
  if (!statistics.center) return {};
  if (static_cast<int64_t>(statistics.mean.size()) != in_dim)
    throw_runtime("{}: calibrated means have {} channels, expected {}", site,
                  statistics.mean.size(), in_dim);
  return statistics.mean;
}

}  // namespace

TensorView Linear::Part::weight() const {
  if (converted.size() == 0) return source.weight;
  return {DType::kF32, {converted.rows(), converted.cols()}, converted.data()};
}

Linear::Linear(std::string site, std::vector<LinearWeight> weights, const Recipe& recipe,
               const Calibration* calibration, int64_t head_dim)
    : site_(std::move(site)),
      excluded_(!recipe.is_plain() && is_excluded(recipe, weights)),
      quantizer_(TokenSpec{}) {
  check_shapes(site_, weights);
  in_dim_ = weights[0].weight.shape[1];
  const Recipe plain;
  const Recipe& own = excluded_ ? plain : recipe;
  quantizer_ = make_token_quantizer(own.activations, site_, calibration);
  mean_ = centering_mean(site_, own, calibration, in_dim_);
  rotate_ = own.feature == "hadamard" && (quantizer_.active() || own.weights.bits < 16);
  if (rotate_) hadamard_ = plan_hadamard(in_dim_, head_dim);
  for (LinearWeight& weight : weights) parts_.push_back(make_part(std::move(weight), own.weights));
}

Linear::Part Linear::make_part(LinearWeight source, const WeightSpec& spec) const {
  Part part{std::move(source), {}, {}};
  part.bias = load_bias(part.source.bias);
  if (rotate_ || spec.bits < 16) part.converted = widened(part.source.weight);
  if (rotate_) apply_hadamard(part.converted.view(), hadamard_);
  if (!mean_.empty()) {
    std::vector<float> centered(static_cast<size_t>(part.source.weight.shape[0]));
    const int64_t out_dim = static_cast<int64_t>(centered.size());
    matmul_transposed({mean_.data(), 1, in_dim_, in_dim_}, part.weight(), part.bias,
                      {centered.data(), 1, out_dim, out_dim}, false);
    part.bias = std::move(centered);
  }
  if (spec.bits < 16) fake_quantize_weight(part.converted.view(), spec);
  return part;
}

ConstFloatView Linear::quantized_input(ConstFloatView x, int64_t position, Matrix& scratch) const {
  if (!rotate_ && !quantizer_.active()) return x;
  scratch.reshape(x.rows, x.cols);
  for_each_row(x.rows, x.cols, [&](int64_t i) { std::copy_n(x.row(i), x.cols, scratch.row(i)); });
  if (rotate_) apply_hadamard(scratch.view(), hadamard_);
  if (!mean_.empty())
    for_each_row(x.rows, x.cols, [&](int64_t i) {
      for (int64_t j = 0; j < in_dim_; ++j) scratch(i, j) -= mean_[static_cast<size_t>(j)];
    });
  quantizer_.apply(scratch.view(), position);
  return scratch.view();
}

void Linear::forward(ConstFloatView x, int64_t position, std::span<Matrix* const> outputs,
                     ForwardContext& context) const {
  if (x.cols != in_dim_ || outputs.size() != parts_.size())
    throw_argument("{}: expected x [tokens, {}] and {} outputs, got [{}, {}] and {}", site_,
                   in_dim_, parts_.size(), x.rows, x.cols, outputs.size());
  if (context.observer) context.observer->on_input(site_, x, position);
  const ConstFloatView input = quantized_input(x, position, context.scratch);
  for (size_t i = 0; i < parts_.size(); ++i) {
    const TensorView weight = parts_[i].weight();
    outputs[i]->reshape(x.rows, weight.shape[0]);
    matmul_transposed(input, weight, parts_[i].bias, outputs[i]->view(),
                      context.compute == Compute::kBF16);
  }
  if (context.observer && context.observer->wants_linear_error())
    report_errors(x, outputs, context);
}

void Linear::report_errors(ConstFloatView x, std::span<Matrix* const> outputs,
                           ForwardContext& context) const {
  Matrix plain;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (!quantizer_.active() && part.converted.size() == 0) continue;
    plain.reshape(x.rows, part.source.weight.shape[0]);
    matmul_transposed(x, part.source.weight, load_bias(part.source.bias), plain.view(),
                      context.compute == Compute::kBF16);
    Sqnr sqnr;
    sqnr.add(plain.view(), outputs[i]->view());
    context.observer->on_linear_error(part.source.name, sqnr);
  }
}

BitCount Linear::count_bits(int64_t tokens) const { return quantizer_.count_bits(tokens, in_dim_); }

}  // namespace stamp
