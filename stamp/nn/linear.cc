#include "stamp/nn/linear.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/io/mmap.h"
#include "stamp/nn/integer_matmul.h"
#include "stamp/nn/layers.h"
#include "stamp/nn/matmul.h"
#include "stamp/nn/row_loop.h"
#include "stamp/nn/site_map.h"
#include "stamp/nn/site_statistics.h"
#include "stamp/quant/weight_quant.h"

namespace stamp {
namespace {

constexpr int64_t kConvertedRows = 4096;  // of a weight at a time

bool is_excluded(const Recipe& recipe, const std::vector<LinearWeight>& weights) {
  return std::any_of(weights.begin(), weights.end(), [&](const LinearWeight& weight) {
    return std::any_of(recipe.exclude.begin(), recipe.exclude.end(), [&](const std::string& part) {
      return weight.name.find(part) != std::string::npos;
    });
  });
}

Shape weight_shape(const LinearWeight& weight) {
  if (weight.is_plain()) return weight.weight.shape;
  return {weight.stored->out_dim, weight.stored->in_dim};
}

void check_shapes(const std::string& site, const std::vector<LinearWeight>& weights) {
  if (weights.empty()) throw_argument("{}: a linear needs at least one weight", site);
  for (const LinearWeight& part : weights) {
    const Shape shape = weight_shape(part);
    if (shape.size() != 2 || shape[1] < 1 || shape[1] != weight_shape(weights[0])[1])
      throw_argument("{}: expected a weight [out_dim, in_dim] with the in_dim of its group, got {}",
                     part.name, to_string(shape));
    if (part.bias && part.bias->shape != Shape{shape[0]})
      throw_argument("{}: expected a bias of shape [{}], got {}", part.name, shape[0],
                     to_string(part.bias->shape));
  }
}

std::vector<float> load_bias(const std::optional<TensorView>& bias) {
  if (!bias) return {};
  std::vector<float> values(static_cast<size_t>(bias->size()));
  to_f32(*bias, 0, values);
  return values;
}

bool packable(const WeightSpec& spec) {
  return spec.bits <= 8 && spec.symmetric && spec.group % 8 == 0;
}

}  // namespace

TensorView Linear::Part::weight() const {
  if (converted.size() == 0) return source.weight;
  return {DType::kF32, {converted.rows(), converted.cols()}, converted.data()};
}

Linear::Linear(std::string site, std::vector<LinearWeight> weights, const Recipe& recipe,
               const Calibration* calibration, int64_t head_dim, Execution execution)
    : site_(std::move(site)),
      excluded_(!recipe.is_plain() && is_excluded(recipe, weights)),
      execution_(execution),
      quantizer_(TokenSpec{}) {
  check_shapes(site_, weights);
  in_dim_ = weight_shape(weights[0])[1];
  const Recipe plain;
  const Recipe& own = excluded_ ? plain : recipe;
  quantizer_ = make_token_quantizer(own.activations, site_, calibration);
  if (quantizer_.active() || own.weights.bits < 16)
    map_ = site_map(site_, own, calibration, in_dim_, head_dim);
  arithmetic_ = choose(own);
  for (LinearWeight& weight : weights) parts_.push_back(make_part(std::move(weight), own.weights));
}

Linear::Arithmetic Linear::choose(const Recipe& recipe) const {
  if (map_.empty() && !quantizer_.active() && recipe.weights.bits == 16) return Arithmetic::kPlain;
  if (!packable(recipe.weights)) return Arithmetic::kValues;
  if (quantizer_.active())
    return quantizer_.can_encode() ? Arithmetic::kCodes : Arithmetic::kValues;
  return execution_ == Execution::kInteger ? Arithmetic::kFixedPoint : Arithmetic::kValues;
}

/// Converts a part in pieces, whose mapped pages are let go: a model may be larger than the memory.
void Linear::convert(Part& part, const WeightSpec& spec) const {
  const bool stored = part.source.stored.has_value();
  if (packed())
    part.packed =
        PackedWeight(stored ? *part.source.stored : stored_layout(spec, part.out_dim, in_dim_),
                     arithmetic_ == Arithmetic::kCodes ? quantizer_.spec().quantizer.block : 0);
  else
    part.converted.reshape(part.out_dim, in_dim_);
  const bool centers = !map_.mean.empty() && part.source.is_plain();
  Matrix values;
  for (int64_t first = 0; first < part.out_dim; first += kConvertedRows) {
    const int64_t rows = std::min(kConvertedRows, part.out_dim - first);
    if (stored) fill_with_codes(part, rows_of(*part.source.stored, first, rows), first);
    if (stored && !centers) continue;
    values.reshape(rows, in_dim_);
    load_weight_rows(part.source.weight, map_, first, values.view());
    if (centers)
      add_centering(map_, {DType::kF32, {rows, in_dim_}, values.data()},
                    {part.bias.data() + first, static_cast<size_t>(rows)});
    if (packed() && !stored) {
      part.packed.fill(first, quantize_weight(values.view(), spec).view);
    } else if (!stored) {
      fake_quantize_weight(values.view(), spec);
      std::copy_n(values.data(), values.size(), part.converted.row(first));
    }
  }
}

void Linear::fill_with_codes(Part& part, const StoredWeight& codes, int64_t first) const {
  if (packed())
    part.packed.fill(first, codes);
  else
    dequantize(codes, 0, part.converted.view().rows_from(first, codes.out_dim));
  drop_mapped_pages(codes.packed.data, codes.packed.bytes());
}

Linear::Part Linear::make_part(LinearWeight source, const WeightSpec& spec) const {
  Part part;
  part.out_dim = weight_shape(source)[0];
  part.bias = load_bias(source.bias);
  part.source = std::move(source);
  if (spec.bits < 16 && spec.quantizer != "rtn" && !part.source.stored)
    throw_runtime("{}: the recipe needs codes calibrated by {}, but none were given",
                  part.source.name, spec.quantizer);
  if (!map_.mean.empty() && part.source.is_plain())
    part.bias.resize(static_cast<size_t>(part.out_dim), 0.0f);
  if (packed() || spec.bits < 16 || map_.moves_weights())
    convert(part, spec);
  else if (!map_.mean.empty())
    add_centering(map_, part.source.weight, part.bias);
  return part;
}

void Linear::check_input(ConstFloatView x, size_t outputs) const {
  if (x.cols != in_dim_ || outputs != parts_.size())
    throw_argument("{}: expected x [tokens, {}] and {} outputs, got [{}, {}] and {}", site_,
                   in_dim_, parts_.size(), x.rows, x.cols, outputs);
}

ConstFloatView Linear::quantized_input(ConstFloatView x, int64_t position, Matrix& scratch) const {
  if (map_.empty() && !quantizer_.active()) return x;
  scratch.reshape(x.rows, x.cols);
  for_each_row(x.rows, x.cols, [&](int64_t i) { std::copy_n(x.row(i), x.cols, scratch.row(i)); });
  map_rows(scratch.view(), map_);
  quantizer_.apply(scratch.view(), position);
  return scratch.view();
}

void Linear::encode(ConstFloatView x, int64_t position, ForwardContext& context) const {
  const PhaseScope scope(context.phases, Phase::kQuantize);
  if (arithmetic_ == Arithmetic::kCodes) return quantizer_.encode(x, position, map_, context.codes);
  encode_fixed_point(quantized_input(x, position, context.scratch), context.fixed_point);
}

void Linear::multiply(std::span<const IntegerProduct> products, bool add,
                      ForwardContext& context) const {
  const PhaseScope scope(context.phases, Phase::kGemm);
  if (arithmetic_ == Arithmetic::kCodes)
    return integer_matmul(context.codes, products, add, execution_);
  integer_matmul(context.fixed_point, products, add);
}

void Linear::run(ConstFloatView x, int64_t position, std::span<const FloatView> outputs, bool add,
                 ForwardContext& context) const {
  check_input(x, outputs.size());
  if (context.observer) context.observer->on_input(site_, x, position);
  if (packed()) {
    std::vector<IntegerProduct> products;
    for (size_t i = 0; i < parts_.size(); ++i)
      products.push_back({&parts_[i].packed, parts_[i].bias, outputs[i]});
    encode(x, position, context);
    return multiply(products, add, context);
  }
  ConstFloatView input;
  {
    const PhaseScope scope(context.phases, Phase::kQuantize);
    input = quantized_input(x, position, context.scratch);
  }
  const PhaseScope scope(context.phases, Phase::kGemm);
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (add) context.branch.reshape(x.rows, parts_[i].out_dim);
    const FloatView out = add ? context.branch.view() : outputs[i];
    matmul_transposed(input, parts_[i].weight(), parts_[i].bias, out,
                      context.compute == Compute::kBF16);
    if (add) add_rows(outputs[i], out);
  }
}

void Linear::forward(ConstFloatView x, int64_t position, std::span<Matrix* const> outputs,
                     ForwardContext& context) const {
  check_input(x, outputs.size());
  std::vector<FloatView> views;
  for (size_t i = 0; i < parts_.size(); ++i) {
    outputs[i]->reshape(x.rows, parts_[i].out_dim);
    views.push_back(outputs[i]->view());
  }
  run(x, position, views, false, context);
  if (measures_errors(context)) report_errors(x, views, context);
}

void Linear::forward_into(ConstFloatView x, int64_t position, FloatView out, bool add,
                          ForwardContext& context) const {
  if (!measures_errors(context)) return run(x, position, {&out, 1}, add, context);
  Matrix y;
  Matrix* const outputs[] = {&y};
  forward(x, position, outputs, context);
  for_each_row(out.rows, out.cols, [&](int64_t i) {
    for (int64_t j = 0; j < out.cols; ++j) out(i, j) = (add ? out(i, j) : 0.0f) + y(i, j);
  });
}

void Linear::forward_gated(ConstFloatView x, int64_t position, Matrix& out,
                           ForwardContext& context) const {
  if (arithmetic_ != Arithmetic::kCodes || measures_errors(context)) {
    Matrix* const outputs[] = {&out, &context.branch};
    forward(x, position, outputs, context);
    return silu_multiply(out.view(), context.branch.view());
  }
  check_input(x, 2);
  if (context.observer) context.observer->on_input(site_, x, position);
  encode(x, position, context);
  out.reshape(x.rows, parts_[0].out_dim);
  const PhaseScope scope(context.phases, Phase::kGemm);
  integer_matmul_gated(context.codes, {&parts_[0].packed, parts_[0].bias, {}},
                       {&parts_[1].packed, parts_[1].bias, {}}, out.view(), execution_);
}

void Linear::report_errors(ConstFloatView x, std::span<const FloatView> outputs,
                           ForwardContext& context) const {
  Matrix plain;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (arithmetic_ == Arithmetic::kPlain || !part.source.is_plain()) continue;
    plain.reshape(x.rows, part.out_dim);
    matmul_transposed(x, part.source.weight, load_bias(part.source.bias), plain.view(),
                      context.compute == Compute::kBF16);
    Sqnr sqnr;
    sqnr.add(plain.view(), outputs[i]);
    context.observer->on_linear_error(part.source.name, sqnr);
  }
}

int64_t Linear::weight_bytes() const {
  int64_t bytes = 0;
  for (const Part& part : parts_) bytes += packed() ? part.packed.bytes() : part.weight().bytes();
  return bytes;
}

BitCount Linear::count_bits(int64_t tokens) const { return quantizer_.count_bits(tokens, in_dim_); }

}  // namespace stamp
