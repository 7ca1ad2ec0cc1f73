#include "stamp/nn/convolution.h"

#include <algorithm>
#include <unordered_map>

#include "stamp/core/error.h"
#include "stamp/kernels/kernels.h"
#include "stamp/nn/matmul.h"
#include "stamp/nn/onednn_engine.h"
#include "stamp/nn/row_loop.h"

namespace stamp {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

constexpr int64_t kStripValues = int64_t{1} << 21;  // of an input strip: 8 MB

memory::desc layout(const memory::dims& dims, Tag tag) {
  return memory::desc(dims, memory::data_type::f32, tag);
}

/// Pixels of one strip, read-only or to be written.
struct Strip {
  int64_t height = 0, width = 0;
  const float* pixels = nullptr;
};

/// Rows [first, first + strip.height) of the prepared input; rows outside of it are zeros.
void fill_strip(const ConvolutionInput& x, int64_t first, PixelMap& strip) {
  const int64_t channels = x.map.channels();
  const std::vector<float> ones(static_cast<size_t>(channels), 1.0f);
  for_each_row(strip.height, strip.width * channels, [&](int64_t i) {
    const int64_t y = first + i;
    float* row = strip.pixels.row(i * strip.width);
    if (y < 0 || y >= x.height()) return std::fill_n(row, strip.width * channels, 0.0f), void();
    for (int64_t j = 0; j < strip.width; ++j) {
      const float* pixel = x.map.pixels.row(y / x.upsample * x.map.width + j / x.upsample);
      float* out = row + j * channels;
      if (j % x.upsample != 0) {
        std::copy_n(out - channels, channels, out);
        continue;
      }
      std::copy_n(pixel, channels, out);
      for (int64_t c = 0; x.affine != nullptr && c < channels; ++c)
        out[c] = pixel[c] * x.affine->weight[static_cast<size_t>(c)] +
                 x.affine->bias[static_cast<size_t>(c)];
      if (x.silu) kernels().silu_mul(out, ones.data(), out, channels);
    }
  });
}

}  // namespace

/// One call's weights, arranged as oneDNN wants them, for strips of equal width.
class Convolution::Product {
 public:
  Product(const Convolution& own, bool add, bool whole) : own_(own), add_(add), whole_(whole) {}

  void run(const Strip& x, int64_t out_height, int64_t out_width, float* out) {
    const Shape& w = own_.weight_.shape;
    const ConvolutionOptions& o = own_.options_;
    const auto source = layout({1, own_.in_channels(), x.height, x.width}, Tag::nhwc);
    const auto result = layout({1, w[0], out_height, out_width}, Tag::nhwc);
    const memory::dims dims = o.groups > 1
                                  ? memory::dims{o.groups, w[0] / o.groups, w[1], w[2], w[3]}
                                  : memory::dims{w[0], w[1], w[2], w[3]};
    const auto any = layout(dims, Tag::any), row = layout({w[0]}, Tag::a);
    // Strips bring the zeros above and below with them.
    const memory::dims strides = {o.stride, o.stride};
    const memory::dims before = {whole_ ? o.pad_before : 0, o.pad_before};
    const memory::dims after = {whole_ ? o.pad_after : 0, o.pad_after};
    using Forward = dnnl::convolution_forward;
    constexpr auto kKind = dnnl::prop_kind::forward_inference;
    constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;
    const bool biased = !own_.bias_.empty();
    const auto operation =
        biased ? Forward::desc(kKind, kAlgorithm, source, any, row, result, strides, before, after)
               : Forward::desc(kKind, kAlgorithm, source, any, result, strides, before, after);
    dnnl::primitive_attr attributes;
    if (add_) {
      dnnl::post_ops sum;
      sum.append_sum(1.0f);
      attributes.set_post_ops(sum);
    }
    require_onednn_memory();
    const Forward::primitive_desc chosen(operation, attributes, onednn_engine());
    dnnl::stream stream(onednn_engine());
    std::unordered_map<int, memory> arguments = {
        {DNNL_ARG_SRC, onednn_view(source, x.pixels)},
        {DNNL_ARG_WEIGHTS, arranged(dims, chosen.weights_desc(), stream)},
        {DNNL_ARG_DST, onednn_view(result, out)}};
    if (biased) arguments.emplace(DNNL_ARG_BIAS, onednn_view(row, own_.bias_.data()));
    Forward(chosen).execute(stream, arguments);
    stream.wait();
  }

 private:
  const memory& arranged(const memory::dims& dims, const memory::desc& wanted,
                         dnnl::stream& stream) {
    if (arranged_ && arranged_->get_desc() == wanted) return *arranged_;
    const TensorView& weight = own_.weight_;
    Matrix widened;
    const void* data = weight.data;
    if (weight.dtype != DType::kF32) {
      widened.reshape(1, weight.size());
      to_f32(weight, 0, widened.view().row_span(0));
      data = widened.data();
    }
    arranged_.emplace(wanted, onednn_engine());
    memory plain = onednn_view(layout(dims, dims.size() == 5 ? Tag::goihw : Tag::oihw), data);
    dnnl::reorder(plain, *arranged_).execute(stream, plain, *arranged_);
    stream.wait();
    return *arranged_;
  }

  const Convolution& own_;
  bool add_, whole_;
  std::optional<memory> arranged_;
};

Convolution::Convolution(std::string name, TensorView weight, std::optional<TensorView> bias,
                         const ConvolutionOptions& options)
    : name_(std::move(name)), weight_(std::move(weight)), options_(options) {
  const Shape& shape = weight_.shape;
  if (shape.size() != 4 || shape[0] < 1 || shape[1] < 1 || shape[2] < 1 || shape[3] < 1 ||
      options.groups < 1 || shape[0] % options.groups != 0 || options.stride < 1)
    throw_argument("{}: expected a weight [out, in / groups, height, width], got {}", name_,
                   to_string(shape));
  if (!bias) return;
  if (bias->shape != Shape{shape[0]})
    throw_argument("{}: expected a bias [{}], got {}", name_, shape[0], to_string(bias->shape));
  bias_.resize(static_cast<size_t>(shape[0]));
  to_f32(*bias, 0, bias_);
}

int64_t Convolution::out_size(int64_t size, int64_t kernel) const {
  return (size + options_.pad_before + options_.pad_after - kernel) / options_.stride + 1;
}

void Convolution::check_input(const ConvolutionInput& x, const PixelMap& out, bool add) const {
  const int64_t kh = weight_.shape[2], kw = weight_.shape[3];
  const int64_t padding = options_.pad_before + options_.pad_after;
  if (x.map.channels() != in_channels() || x.upsample < 1 || x.height() + padding < kh ||
      x.width() + padding < kw)
    throw_argument("{}: expected {} channels and at least {} x {} pixels, got {} and {} x {}",
                   name_, in_channels(), kh - padding, kw - padding, x.map.channels(), x.height(),
                   x.width());
  const auto channels = static_cast<size_t>(in_channels());
  if (x.affine != nullptr &&
      (x.affine->weight.size() != channels || x.affine->bias.size() != channels))
    throw_argument("{}: {} factors for {} channels", name_, x.affine->weight.size(), channels);
  if (add && (out.height != out_size(x.height(), kh) || out.width != out_size(x.width(), kw) ||
              out.channels() != out_channels()))
    throw_argument("{}: the result does not fit a map of {} x {} x {}", name_, out.height,
                   out.width, out.channels());
}

void Convolution::run_strips(const ConvolutionInput& x, PixelMap& out, bool add) const {
  const int64_t kernel = weight_.shape[2], stride = options_.stride;
  const int64_t fitting = kStripValues / (x.width() * in_channels());
  const int64_t rows = std::clamp<int64_t>((fitting - kernel) / stride + 1, 1, out.height);
  Product product(*this, add, false);
  PixelMap strip;
  for (int64_t first = 0; first < out.height; first += rows) {
    const int64_t count = std::min(rows, out.height - first);
    strip.reshape((count - 1) * stride + kernel, x.width(), in_channels());
    fill_strip(x, first * stride - options_.pad_before, strip);
    product.run({strip.height, strip.width, strip.pixels.data()}, count, out.width,
                out.pixels.row(first * out.width));
  }
}

void Convolution::forward(const ConvolutionInput& x, PixelMap& out, bool add) const {
  check_input(x, out, add);
  const int64_t kh = weight_.shape[2], kw = weight_.shape[3];
  const bool pointwise = kh == 1 && kw == 1 && options_.groups == 1 && options_.stride == 1 &&
                         options_.pad_before + options_.pad_after == 0;
  if (!add) out.reshape(out_size(x.height(), kh), out_size(x.width(), kw), out_channels());
  if (pointwise && x.is_plain() && !add)
    return matmul_transposed(x.map.pixels.view(),
                             {weight_.dtype, {out_channels(), in_channels()}, weight_.data}, bias_,
                             out.pixels.view(), false);
  try {
    if (!x.is_plain()) return run_strips(x, out, add);
    Product(*this, add, true)
        .run({x.map.height, x.map.width, x.map.pixels.data()}, out.height, out.width,
             out.pixels.data());
  } catch (const dnnl::error& error) {
    throw_runtime("oneDNN: {}: convolution of [{}, {}, {}] failed: {}", name_, x.height(),
                  x.width(), in_channels(), error.what());
  }
}

}  // namespace stamp
