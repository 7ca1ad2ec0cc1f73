#include "stamp/nn/layer_norm.h"

#include "stamp/core/error.h"
#include "stamp/kernels/kernels.h"
#include "stamp/nn/row_loop.h"

namespace stamp {

void layer_norm_rows(ConstFloatView x, const ChannelAffine& affine, double eps, FloatView out) {
  const auto cols = static_cast<size_t>(x.cols);
  if (out.rows != x.rows || out.cols != x.cols || affine.weight.size() != cols ||
      affine.bias.size() != cols)
    throw_argument("layer norm: x [{}, {}], {} weights, {} biases, out [{}, {}] do not fit", x.rows,
                   x.cols, affine.weight.size(), affine.bias.size(), out.rows, out.cols);
  for_each_row(x.rows, x.cols, [&](int64_t i) {
    kernels().layer_norm(x.row(i), affine.weight.data(), affine.bias.data(),
                         static_cast<float>(eps), out.row(i), x.cols);
  });
}

}  // namespace stamp
