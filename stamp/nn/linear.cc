#include "stamp/nn/linear.h"

#include <algorithm>
#include <utility>

#include "stamp/core/block_types.h"
#include "stamp/core/error.h"
#include "stamp/io/mmap.h"
#include "stamp/nn/integer_matmul.h"
#include "stamp/nn/layers.h"
#include "stamp/nn/matmul.h"
#include "stamp/nn/row_loop.h"
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

GroupBasis own_basis(const std::string& site, const std::vector<LinearWeight>& weights,
                     const Recipe& recipe, const Calibration* calibration, int64_t head_dim) {
  check_shapes(site, weights);
  if ((recipe.activations.bits == 16 && recipe.weights.bits == 16) || is_excluded(recipe, weights))
    return {};
  const int64_t in_dim = weight_shape(weights[0])[1];
  const FeatureMap map = site_map(site, recipe, calibration, in_dim, head_dim);
  return {.input = map, .online = map, .outputs = {}};
}

/// matmul_transposed() whose sums for a sequence do not depend on the others in x: in one product
/// go its rows, or the lone rows of several.
void multiply_sequences(ConstFloatView x, TokenRows rows, const TensorView& weight,
                        std::span<const float> bias, FloatView out, bool bf16_operands) {
  const auto multiply = [&](int64_t first, int64_t count) {
    if (count > 0)
      matmul_transposed(x.rows_from(first, count), weight, bias, out.rows_from(first, count),
                        bf16_operands);
  };
  if (!rows.several()) return multiply(0, x.rows);
  int64_t first = 0, few = 0;  // rows [first, first + few) are still to be multiplied
  rows.for_each(x.rows, [&](int64_t start, const SequenceRows& part) {
    const bool joins = part.count + few <= kIndependentRows;
    if (!joins) multiply(std::exchange(first, start), std::exchange(few, 0));
    few += part.count;
    if (few > kIndependentRows) {
      multiply(first, std::exchange(few, 0));
      first = start + part.count;
    }
  });
  multiply(first, few);
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
    : Linear(site, weights, recipe, calibration,
             own_basis(site, weights, recipe, calibration, head_dim), execution) {}

Linear::Linear(std::string site, std::vector<LinearWeight> weights, const Recipe& recipe,
               const Calibration* calibration, GroupBasis basis, Execution execution,
               InputPart input)
    : site_(std::move(site)),
      input_(input),
      excluded_(!recipe.is_plain() && is_excluded(recipe, weights)),
      execution_(execution),
      basis_(std::move(basis)),
      quantizer_(TokenSpec{}) {
  check_shapes(site_, weights);
  in_dim_ = features_ = weight_shape(weights[0])[1];
  const Recipe plain;
  const Recipe& own = excluded_ ? plain : recipe;
  quantizer_ = make_token_quantizer(spec_of_site(own, site_), site_, calibration);
  arithmetic_ = choose(own.weights);
  if (own.weights.bits == 16 && may_keep_codes(weights)) {
    const Arithmetic plain_weights = std::exchange(arithmetic_, choose({.bits = 8}));
    keeps_codes_ = packed();
    if (!keeps_codes_) arithmetic_ = plain_weights;
  }
  if (input_.processes) take_part();
  for (size_t i = 0; i < weights.size(); ++i)
    parts_.push_back(make_part(std::move(weights[i]), i, own.weights));
}

/// Before weights are loaded.
void Linear::take_part() {
  const int64_t first = input_.first, count = input_.count,
                block = quantizer_.spec().quantizer.block;
  if (first < 0 || count < 1 || first + count > features_)
    throw_argument("{}: expected a part of {} features, got {} from {}", site_, features_, count,
                   first);
  if (quantizer_.active() && arithmetic_ != Arithmetic::kCodes)
    throw_argument(
        "{}: this recipe is simulated here, which processes that share a layer cannot be; weights "
        "of at most 8 bits, symmetric, run on integers",
        site_);
  if (quantizer_.active() && block > 0 && (first % block != 0 || count % block != 0))
    throw_argument("{}: a part of {} features cuts a block of {} that share a scale", site_, count,
                   block);
  try {
    basis_.online = part_of(basis_.online, features_, first, count);
  } catch (const std::invalid_argument& error) {
    throw_argument(
        "{}: {}; codes made with a multiple of {} as the recipe's rotation_parts can be split over "
        "as "
        "many processes",
        site_, error.what(), input_.processes->size());
  }
  in_dim_ = count;
}

void Linear::keep_own_columns(Part& part) const {
  TensorView& weight = part.source.weight;
  const DType type = weight.dtype;
  const int64_t block = dtype_block(type);
  if (input_.first % block != 0 || in_dim_ % block != 0)
    throw_argument("{}: a part of {} features cuts the file's blocks of {}", site_, in_dim_, block);
  part.columns = AlignedBuffer(dtype_bytes(type, part.out_dim * in_dim_));
  const int64_t row_bytes = dtype_bytes(type, in_dim_), whole_bytes = dtype_bytes(type, features_);
  const auto* from = static_cast<const std::byte*>(weight.data) + dtype_bytes(type, input_.first);
  auto* to = static_cast<std::byte*>(part.columns.data());
  for (int64_t i = 0; i < part.out_dim; ++i)
    std::copy_n(from + i * whole_bytes, row_bytes, to + i * row_bytes);
  drop_mapped_pages(weight.data, part.out_dim * whole_bytes);
  weight.data = to;
  weight.shape = {part.out_dim, in_dim_};
}

/// True when the file's own codes, which are exact, can stand for the weights: nothing moves them.
bool Linear::may_keep_codes(const std::vector<LinearWeight>& weights) const {
  return !basis_.input.moves_weights() &&
         std::all_of(basis_.outputs.begin(), basis_.outputs.end(),
                     [](const FeatureMap& map) { return map.empty(); }) &&
         std::all_of(weights.begin(), weights.end(), [](const LinearWeight& weight) {
           return weight.is_plain() && !weight.stored && exact_code_bits(weight.weight.dtype) > 0;
         });
}

Linear::Arithmetic Linear::choose(const WeightSpec& spec) const {
  if (!quantizer_.active() && spec.bits == 16) return Arithmetic::kPlain;
  if (!packable(spec)) return Arithmetic::kValues;
  if (quantizer_.active())
    return quantizer_.can_encode() ? Arithmetic::kCodes : Arithmetic::kValues;
  return execution_ == Execution::kInteger ? Arithmetic::kFixedPoint : Arithmetic::kValues;
}

/// Converts a part in pieces, whose mapped pages are let go: a model may be larger than the memory.
void Linear::convert(Part& part, size_t index, const WeightSpec& spec) const {
  const FeatureMap& output = basis_.output(index);
  const bool stored = part.source.stored.has_value(), has_codes = stored || keeps_codes_;
  if (packed()) {
    const StoredWeight layout = stored         ? *part.source.stored
                                : keeps_codes_ ? stored_blocks_layout(part.source.weight)
                                               : stored_layout(spec, part.out_dim, features_);
    part.packed =
        PackedWeight(columns_layout(layout, input_.first, in_dim_),
                     arithmetic_ == Arithmetic::kCodes ? quantizer_.spec().quantizer.block : 0);
  } else {
    part.converted.reshape(part.out_dim, in_dim_);
  }
  const bool centers = !basis_.input.mean.empty() && part.source.is_plain();
  const int64_t step = rows_at_once(output, part.out_dim, kConvertedRows);
  Matrix values;
  for (int64_t first = 0; first < part.out_dim; first += step) {
    const int64_t rows = std::min(step, part.out_dim - first);
    if (stored) {
      const StoredWeight own = rows_of(*part.source.stored, first, rows);
      fill_with_codes(part, own, first);
      drop_mapped_pages(own.packed.data, own.packed.bytes());
    }
    if (keeps_codes_) fill_with_blocks(part, first, rows);
    if (has_codes && !centers) continue;
    values.reshape(rows, features_);
    load_weight_rows(part.source.weight, basis_.input, output, first, values.view());
    if (centers)
      add_centering(basis_.input, {DType::kF32, {rows, features_}, values.data()},
                    {part.bias.data() + first, static_cast<size_t>(rows)});
    const RowClips clips = basis_.row_clips(index, first, rows);
    if (packed() && !has_codes) {
      fill_with_codes(part, quantize_weight(values.view(), spec, clips).view, first);
    } else if (!has_codes) {
      fake_quantize_weight(values.view(), spec, clips);
      for (int64_t i = 0; i < rows; ++i)
        std::copy_n(values.row(i) + input_.first, in_dim_, part.converted.row(first + i));
    }
  }
}

void Linear::fill_with_blocks(Part& part, int64_t first, int64_t rows) const {
  const TensorView& weight = part.source.weight;
  fill_with_codes(part, stored_blocks(weight, first, rows).view, first);
  const int64_t row_bytes = dtype_bytes(weight.dtype, features_);
  drop_mapped_pages(static_cast<const std::byte*>(weight.data) + first * row_bytes,
                    rows * row_bytes);
}

/// Codes of rows from `first` on, over all features.
void Linear::fill_with_codes(Part& part, const StoredWeight& codes, int64_t first) const {
  const StoredWeightBuffer own = in_dim_ == features_ ? StoredWeightBuffer{.view = codes}
                                                      : columns_of(codes, input_.first, in_dim_);
  if (packed())
    part.packed.fill(first, own.view);
  else
    dequantize(own.view, 0, part.converted.view().rows_from(first, codes.out_dim));
}

Linear::Part Linear::make_part(LinearWeight source, size_t index, const WeightSpec& spec) const {
  const FeatureMap &input = basis_.input, &output = basis_.output(index);
  Part part;
  part.out_dim = weight_shape(source)[0];
  const bool merged = !source.is_plain() && !input.mean.empty();  // into the stored bias
  part.bias = load_bias(source.bias, merged ? FeatureMap{} : output);
  part.source = std::move(source);
  if (spec.bits < 16 && (spec.quantizer != "rtn" || spec.rank > 0) && !part.source.stored)
    throw_runtime("{}: the recipe needs calibrated codes ({}, rank {}), but none were given",
                  part.source.name, spec.quantizer, spec.rank);
  if (part.source.branch) {
    part.up = to_matrix(part.source.branch->up);
    part.down = to_matrix(part.source.branch->down);
    if (in_dim_ < features_)
      part.down = Matrix::copy_of(part.down.view().cols_from(input_.first, in_dim_));
  }
  if (!input.mean.empty() && !merged) part.bias.resize(static_cast<size_t>(part.out_dim), 0.0f);
  if (packed() || spec.bits < 16 || input.moves_weights() || !output.empty())
    convert(part, index, spec);
  else if (!input.mean.empty())
    add_centering(input, part.source.weight, part.bias);
  if (input_.processes && arithmetic_ == Arithmetic::kPlain && part.converted.size() == 0)
    keep_own_columns(part);
  if (input_.processes && input_.processes->rank() > 0) part.bias.clear();  // added once
  return part;
}

void Linear::check_input(ConstFloatView x, size_t outputs) const {
  if (x.cols != in_dim_ || outputs != parts_.size())
    throw_argument("{}: expected x [tokens, {}] and {} outputs, got [{}, {}] and {}", site_,
                   in_dim_, parts_.size(), x.rows, x.cols, outputs);
}

ConstFloatView Linear::quantized_input(ConstFloatView x, TokenRows rows, Matrix& scratch) const {
  if (basis_.online.empty() && !quantizer_.active()) return x;
  scratch.reshape(x.rows, x.cols);
  for_each_row(x.rows, x.cols, [&](int64_t i) { std::copy_n(x.row(i), x.cols, scratch.row(i)); });
  map_rows(scratch.view(), basis_.online);
  quantizer_.apply(scratch.view(), rows);
  return scratch.view();
}

void Linear::encode(ConstFloatView x, TokenRows rows, ForwardContext& context) const {
  const PhaseScope scope(context.phases, Phase::kQuantize);
  if (arithmetic_ == Arithmetic::kCodes)
    return quantizer_.encode(x, rows, basis_.online, context.codes, input_.processes);
  encode_fixed_point(quantized_input(x, rows, context.scratch), context.fixed_point);
}

void Linear::multiply(std::span<const IntegerProduct> products, bool add,
                      ForwardContext& context) const {
  const PhaseScope scope(context.phases, Phase::kGemm);
  if (arithmetic_ == Arithmetic::kCodes)
    return integer_matmul(context.codes, products, add, execution_);
  integer_matmul(context.fixed_point, products, add);
}

void Linear::observe(ConstFloatView x, TokenRows rows, const ForwardContext& context) const {
  if (!context.observer) return;
  rows.for_each(x.rows, [&](int64_t first, const SequenceRows& part) {
    context.observer->on_input(site_, x.rows_from(first, part.count), part.position);
  });
}

void Linear::run(ConstFloatView x, TokenRows rows, std::span<const FloatView> outputs, bool add,
                 ForwardContext& context) const {
  check_input(x, outputs.size());
  observe(x, rows, context);
  if (packed()) {
    std::vector<IntegerProduct> products;
    for (size_t i = 0; i < parts_.size(); ++i)
      products.push_back({&parts_[i].packed, parts_[i].bias, outputs[i]});
    encode(x, rows, context);
    multiply(products, add, context);
    return add_branches(x, rows, outputs);
  }
  ConstFloatView input;
  {
    const PhaseScope scope(context.phases, Phase::kQuantize);
    input = quantized_input(x, rows, context.scratch);
  }
  const PhaseScope scope(context.phases, Phase::kGemm);
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (add) context.branch.reshape(x.rows, parts_[i].out_dim);
    const FloatView out = add ? context.branch.view() : outputs[i];
    multiply_sequences(input, rows, parts_[i].weight(), parts_[i].bias, out,
                       context.compute == Compute::kBF16);
    if (add) add_rows(outputs[i], out);
  }
  add_branches(x, rows, outputs);
}

/// Costs rank (in_dim + out_dim) multiplications per token and weight.
void Linear::add_branches(ConstFloatView x, TokenRows rows,
                          std::span<const FloatView> outputs) const {
  if (!has_branches()) return;
  Matrix mapped = Matrix::copy_of(x), narrow, product;
  map_rows(mapped.view(), basis_.online);
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Matrix &up = parts_[i].up, &down = parts_[i].down;
    narrow.reshape(x.rows, down.rows());
    product.reshape(x.rows, up.rows());
    multiply_sequences(mapped.view(), rows, {DType::kF32, {down.rows(), down.cols()}, down.data()},
                       {}, narrow.view(), false);
    multiply_sequences(narrow.view(), rows, {DType::kF32, {up.rows(), up.cols()}, up.data()}, {},
                       product.view(), false);
    add_rows(outputs[i], product.view());
  }
}

void Linear::forward(ConstFloatView x, TokenRows rows, std::span<Matrix* const> outputs,
                     ForwardContext& context) const {
  check_input(x, outputs.size());
  std::vector<FloatView> views;
  for (size_t i = 0; i < parts_.size(); ++i) {
    outputs[i]->reshape(x.rows, parts_[i].out_dim);
    views.push_back(outputs[i]->view());
  }
  run(x, rows, views, false, context);
  if (measures_errors(context)) report_errors(x, views, context);
}

void Linear::forward_into(ConstFloatView x, TokenRows rows, FloatView out, bool add,
                          ForwardContext& context) const {
  if (input_.processes) return run_together(x, rows, out, add, context);
  if (!measures_errors(context)) return run(x, rows, {&out, 1}, add, context);
  Matrix y;
  Matrix* const outputs[] = {&y};
  forward(x, rows, outputs, context);
  for_each_row(out.rows, out.cols, [&](int64_t i) {
    for (int64_t j = 0; j < out.cols; ++j) out(i, j) = (add ? out(i, j) : 0.0f) + y(i, j);
  });
}

void Linear::run_together(ConstFloatView x, TokenRows rows, FloatView out, bool add,
                          ForwardContext& context) const {
  Matrix& sum = context.partial;
  sum.reshape(out.rows, out.cols);
  const FloatView own = sum.view();
  run(x, rows, {&own, 1}, false, context);
  input_.processes->sum({sum.data(), static_cast<size_t>(sum.size())});
  if (add) return add_rows(out, sum.view());
  for_each_row(out.rows, out.cols,
               [&](int64_t i) { std::copy_n(sum.row(i), out.cols, out.row(i)); });
}

void Linear::forward_gated(ConstFloatView x, TokenRows rows, Matrix& out,
                           ForwardContext& context) const {
  if (arithmetic_ != Arithmetic::kCodes || has_branches() || measures_errors(context)) {
    Matrix* const outputs[] = {&out, &context.branch};
    forward(x, rows, outputs, context);
    return silu_multiply(out.view(), context.branch.view());
  }
  check_input(x, 2);
  observe(x, rows, context);
  encode(x, rows, context);
  out.reshape(x.rows, parts_[0].out_dim);
  const PhaseScope scope(context.phases, Phase::kGemm);
  integer_matmul_gated(context.codes, {&parts_[0].packed, parts_[0].bias, {}},
                       {&parts_[1].packed, parts_[1].bias, {}}, out.view(), execution_);
}

/// What arrived and left, in the basis of both, without rounding in between.
void Linear::report_errors(ConstFloatView x, std::span<const FloatView> outputs,
                           ForwardContext& context) const {
  const bool same_basis = basis_.input.empty() && basis_.outputs.empty();
  Matrix input = same_basis ? Matrix() : Matrix::copy_of(x), weight, plain;
  if (!same_basis) map_rows(input.view(), basis_.online);
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (arithmetic_ == Arithmetic::kPlain || !part.source.is_plain()) continue;
    plain.reshape(x.rows, part.out_dim);
    if (!same_basis) {
      weight.reshape(part.out_dim, in_dim_);
      load_weight_rows(part.source.weight, basis_.input, basis_.output(i), 0, weight.view());
    }
    matmul_transposed(same_basis ? x : input.view(),
                      same_basis ? part.source.weight
                                 : TensorView{DType::kF32, {part.out_dim, in_dim_}, weight.data()},
                      part.bias, plain.view(), context.compute == Compute::kBF16);
    Sqnr sqnr;
    sqnr.add(plain.view(), outputs[i]);
    context.observer->on_linear_error(part.source.name, sqnr);
  }
}

int64_t Linear::weight_bytes() const {
  int64_t bytes = 0;
  for (const Part& part : parts_) {
    bytes += packed() ? part.packed.bytes() : part.weight().bytes();
    bytes += int64_t{sizeof(bf16)} * (part.up.size() + part.down.size());
  }
  return bytes;
}

BitCount Linear::count_bits(int64_t tokens) const { return quantizer_.count_bits(tokens, in_dim_); }

}  // namespace stamp
