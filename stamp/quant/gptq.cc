// The update in terms of R (H' = R R^T, upper) instead of U = R^-1: with d the errors W - W^ so
// far, the columns B of W have become W_B + d R_{:,B} (R_BB)^-1 when the block starts. That is what
// GPTQ's updates U_{j,B} sum up to, but only diagonal blocks are ever inverted.
#include "stamp/quant/gptq.h"

#include <Eigen/Dense>
#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"
#include "stamp/quant/row_quantizer.h"
#include "stamp/quant/weight_quant.h"

namespace stamp {
namespace {

constexpr int64_t kBlock = 128, kRows = 32;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Inverses of the diagonal blocks of R, block after block.
std::vector<Matrix> inverse_blocks(const Matrix& factor, int64_t block) {
  std::vector<Matrix> inverses;
  for (int64_t first = 0; first < factor.rows(); first += block) {
    const int64_t count = std::min(block, factor.rows() - first);
    const Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>> part(
        factor.row(first) + first, count, count, Eigen::OuterStride<>(factor.cols()));
    const Eigen::MatrixXd inverse = part.cast<double>().triangularView<Eigen::Upper>().solve(
        Eigen::MatrixXd::Identity(count, count));
    Eigen::Map<RowMajor>(inverses.emplace_back(count, count).data(), count, count) =
        inverse.cast<float>();
  }
  return inverses;
}

/// Some rows of the weight, quantized from the first place to the last.
class RowBlock {
 public:
  RowBlock(ConstFloatView weight, const GptqFactor& factor, const WeightSpec& spec)
      : factor_(factor),
        spec_(spec),
        weight_(weight),
        targets_(weight.rows, weight.cols),
        errors_(weight.rows, weight.cols),
        codes_(static_cast<size_t>(weight.rows * weight.cols)),
        grids_(static_cast<size_t>(weight.rows * groups())) {
    for (int64_t i = 0; i < weight.rows; ++i) {
      for (int64_t j = 0; j < weight.cols; ++j) targets_(i, j) = value(i, channel(j));
      for_each_scale_group(weight.cols, spec.group, 0, [&](int64_t first, int64_t count) {
        grid(i, first) = weight_grid({weight.row(i) + first, static_cast<size_t>(count)}, spec);
      });
    }
  }

  /// Places [first, first + inverse.rows()).
  void quantize(int64_t first, const Matrix& inverse) {
    const int64_t count = inverse.rows();
    take_over_errors(first, inverse);
    for (int64_t i = 0; i < weight_.rows; ++i) {
      float* target = targets_.row(i) + first;
      if (spec_.group > 0 && !spec_.act_order)
        grid(i, first) = weight_grid({target, static_cast<size_t>(count)}, spec_);
      for (int64_t j = 0; j < count; ++j) {
        const int64_t in = channel(first + j);
        const Grid& own = grid(i, in);
        const float code = grid_code(target[j], own), left = target[j] - code * own.scale;
        codes_[static_cast<size_t>(i * weight_.cols + in)] = static_cast<int8_t>(code);
        errors_(i, first + j) = value(i, in) - code * own.scale;
        const float step = left / inverse(j, j);
        for (int64_t k = j + 1; k < count; ++k) target[k] -= step * inverse(j, k);
      }
    }
  }

  void store(StoredWeightBuffer& out, int64_t first_row) const {
    std::vector<float> scales(static_cast<size_t>(groups()));
    for (int64_t i = 0; i < weight_.rows; ++i) {
      for (size_t g = 0; g < scales.size(); ++g)
        scales[g] = grids_[static_cast<size_t>(i) * scales.size() + g].scale;
      store_row(out, first_row + i,
                {codes_.data() + i * weight_.cols, static_cast<size_t>(weight_.cols)}, scales);
    }
  }

 private:
  int64_t groups() const { return scale_group_count(weight_.cols, spec_.group, 0); }
  int64_t channel(int64_t place) const { return factor_.order[static_cast<size_t>(place)]; }
  float value(int64_t i, int64_t in) const {
    return factor_.dead[static_cast<size_t>(in)] != 0 ? 0.0f : weight_(i, in);
  }
  Grid& grid(int64_t i, int64_t in) {
    return grids_[static_cast<size_t>(i * groups() + (spec_.group > 0 ? in / spec_.group : 0))];
  }

  /// targets_B += errors_{:first} R_{:first,B} inverse.
  void take_over_errors(int64_t first, const Matrix& inverse) {
    if (first == 0) return;
    const int64_t rows = weight_.rows, cols = weight_.cols, count = inverse.rows();
    Matrix sums(rows, count);
    kernels().gemm_f32(errors_.data(), cols, factor_.factor.data() + first, cols, sums.data(),
                       count, rows, count, first, 0);
    kernels().gemm_f32(sums.data(), count, inverse.data(), count, targets_.data() + first, cols,
                       rows, count, count, 1);
  }

  const GptqFactor& factor_;
  const WeightSpec& spec_;
  ConstFloatView weight_;
  Matrix targets_, errors_;  // columns by place
  std::vector<int8_t> codes_;
  std::vector<Grid> grids_;
};

}  // namespace

StoredWeightBuffer gptq(ConstFloatView weight, const GptqFactor& factor, const WeightSpec& spec) {
  if (factor.factor.rows() != weight.cols)
    throw_argument("gptq: a Hessian of {} channels does not fit a weight [{}, {}]",
                   factor.factor.rows(), weight.rows, weight.cols);
  StoredWeightBuffer result = make_stored_weight(spec, weight.rows, weight.cols);
  // A group's scales are found when its first column is reached, so it must not straddle blocks.
  const int64_t block = spec.group > 0 && !spec.act_order ? spec.group : kBlock;
  const std::vector<Matrix> inverses = inverse_blocks(factor.factor, block);
  parallel_for((weight.rows + kRows - 1) / kRows, [&](int64_t task) {
    const int64_t first = task * kRows;
    RowBlock rows(weight.rows_from(first, std::min(kRows, weight.rows - first)), factor, spec);
    for (size_t i = 0; i < inverses.size(); ++i)
      rows.quantize(static_cast<int64_t>(i) * block, inverses[i]);
    rows.store(result, first);
  });
  return result;
}

}  // namespace stamp
