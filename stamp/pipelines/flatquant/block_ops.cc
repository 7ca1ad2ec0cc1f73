// Quantization, norm, gate and attention (ops.h).
#include <algorithm>
#include <cmath>

#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"
#include "stamp/pipelines/flatquant/ops.h"

namespace stamp::flatquant {
namespace {

constexpr int64_t kRows = 8;

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

float logit_of(const std::vector<float>& logits, int64_t row) {
  return logits[logits.size() == 1 ? 0 : static_cast<size_t>(row)];
}

/// Ends of the range of one grid, before and after clipping.
struct Ends {
  int64_t low_at = -1, high_at = -1;  // columns of the extremes; -1: the end is 0
  float low = 0, high = 0, low_ratio = 1, high_ratio = 1;
  float clipped_low() const { return low * low_ratio; }
  float clipped_high() const { return high * high_ratio; }
  bool low_is_larger() const { return -clipped_low() > clipped_high(); }
};

Ends ends_of(const float* x, int64_t first, int64_t count, const ClipLogits& clip, int64_t row) {
  Ends ends{.low_ratio = sigmoid(logit_of(clip.low, row)),
            .high_ratio = sigmoid(logit_of(clip.high, row))};
  for (int64_t j = first; j < first + count; ++j) {
    if (x[j] < ends.low) ends.low = x[j], ends.low_at = j;
    if (x[j] > ends.high) ends.high = x[j], ends.high_at = j;
  }
  return ends;
}

struct Steps {
  float scale = 1, zero = 0, least = 0, most = 0;  // codes within [least, most] after adding zero
};

Steps steps_of(const Ends& ends, const QuantSpec& spec) {
  Steps steps;
  if (spec.symmetric) {
    steps.most = static_cast<float>((1 << (spec.bits - 1)) - 1);
    steps.least = -steps.most - 1;
    steps.scale = std::max(-ends.clipped_low(), ends.clipped_high()) / steps.most;
  } else {
    steps.most = static_cast<float>((1 << spec.bits) - 1);
    steps.scale = (ends.clipped_high() - ends.clipped_low()) / steps.most;
  }
  if (!(steps.scale > 0)) steps.scale = 1;
  if (!spec.symmetric) steps.zero = -ends.clipped_low() / steps.scale;
  if (spec.round) steps.zero = std::nearbyint(steps.zero);
  return steps;
}

template <class Body>
void for_each_grid(int64_t rows, int64_t cols, int64_t group, Body&& body) {
  if (group <= 0) group = cols;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t first = 0; first < cols; first += group)
      body(i, first, std::min(group, cols - first));
}

/// dL/d(ratio) is turned into dL/d(logit).
void add_logit(std::vector<float>& gradient, int64_t row, float ratio, float value) {
  gradient[gradient.size() == 1 ? 0 : static_cast<size_t>(row)] += value * ratio * (1 - ratio);
}

ConstFloatView head_of(const Matrix& x, int64_t head, int64_t head_dim) {
  return x.view().cols_from(head * head_dim, head_dim);
}

void add_head(Matrix& x, int64_t head, const Matrix& part) {
  for (int64_t i = 0; i < part.rows(); ++i)
    for (int64_t j = 0; j < part.cols(); ++j) x(i, head * part.cols() + j) += part(i, j);
}

/// Rows of scores become probabilities of the tokens up to their own.
void causal_softmax(Matrix& scores, float scale) {
  parallel_ranges(scores.rows(), kRows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* row = scores.row(i);
      const float largest = kernels().max_f32(row, i + 1);
      const float sum = kernels().exp_scaled(row, i + 1, scale, largest * scale);
      for (int64_t j = 0; j <= i; ++j) row[j] /= sum;
      std::fill(row + i + 1, row + scores.cols(), 0.0f);
    }
  });
}

}  // namespace

Rounded quantize_forward(ConstFloatView x, const QuantSpec& spec, const ClipLogits& clip) {
  Rounded state{.out = Matrix(x.rows, x.cols), .slope = Matrix(x.rows, x.cols), .clamped = {}};
  state.clamped.resize(static_cast<size_t>(x.rows * x.cols));
  if (spec.bits >= 16) {
    state.out = Matrix::copy_of(x);
    return state;
  }
  parallel_ranges(x.rows, kRows, [&](int64_t begin, int64_t end) {
    for_each_grid(end - begin, x.cols, spec.group, [&](int64_t i, int64_t first, int64_t count) {
      const int64_t row = begin + i;
      const Ends ends = ends_of(x.row(row), first, count, clip, row);
      const Steps steps = steps_of(ends, spec);
      for (int64_t j = first; j < first + count; ++j) {
        const float place = x(row, j) / steps.scale + steps.zero;
        const float code = spec.round ? std::nearbyint(place) : place;
        const float kept = std::clamp(code, steps.least, steps.most);
        state.clamped[static_cast<size_t>(row * x.cols + j)] =
            static_cast<int8_t>(code < steps.least  ? -1
                                : code > steps.most ? 1
                                                    : 0);
        state.out(row, j) = (kept - steps.zero) * steps.scale;
        state.slope(row, j) = code == kept ? code - place : kept;
      }
    });
  });
  return state;
}

Matrix quantize_backward(const Rounded& state, ConstFloatView x, const QuantSpec& spec,
                         const ClipLogits& clip, const Matrix& gradient,
                         ClipLogits& clip_gradient) {
  if (spec.bits >= 16) return gradient;
  Matrix dx(x.rows, x.cols);
  for_each_grid(x.rows, x.cols, spec.group, [&](int64_t row, int64_t first, int64_t count) {
    const Ends ends = ends_of(x.row(row), first, count, clip, row);
    const Steps steps = steps_of(ends, spec);
    float d_scale = 0, d_low = 0, d_high = 0;  // of the clipped ends
    for (int64_t j = first; j < first + count; ++j) {
      const int clamped = state.clamped[static_cast<size_t>(row * x.cols + j)];
      const float d = gradient(row, j);
      dx(row, j) = clamped == 0 ? d : 0;
      if (clamped == 0 || spec.symmetric)
        d_scale += d * state.slope(row, j);
      else
        (clamped < 0 ? d_low : d_high) += d;
    }
    if (spec.symmetric) {
      (ends.low_is_larger() ? d_low : d_high) +=
          (ends.low_is_larger() ? -1.0f : 1.0f) * d_scale / steps.most;
    } else {
      d_low -= d_scale / steps.most;
      d_high += d_scale / steps.most;
    }
    add_logit(clip_gradient.low, row, ends.low_ratio, d_low * ends.low);
    add_logit(clip_gradient.high, row, ends.high_ratio, d_high * ends.high);
    if (ends.low_at >= 0) dx(row, ends.low_at) += d_low * ends.low_ratio;
    if (ends.high_at >= 0) dx(row, ends.high_at) += d_high * ends.high_ratio;
  });
  return dx;
}

Matrix rms_norm_backward(ConstFloatView x, std::span<const float> weight, double eps,
                         const Matrix& gradient) {
  Matrix dx(x.rows, x.cols);
  parallel_ranges(x.rows, kRows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double squares = 0, dot = 0;
      for (int64_t j = 0; j < x.cols; ++j) {
        squares += double{x(i, j)} * x(i, j);
        dot += double{gradient(i, j)} * weight[static_cast<size_t>(j)] * x(i, j);
      }
      const auto n = static_cast<double>(x.cols);
      const double r = 1 / std::sqrt(squares / n + eps), back = r * r * r * dot / n;
      for (int64_t j = 0; j < x.cols; ++j)
        dx(i, j) = static_cast<float>(r * gradient(i, j) * weight[static_cast<size_t>(j)] -
                                      back * x(i, j));
    }
  });
  return dx;
}

Matrix gate_forward(const Matrix& gate, const Matrix& up) {
  Matrix y(gate.rows(), gate.cols());
  kernels().silu_mul(gate.data(), up.data(), y.data(), gate.size());
  return y;
}

void gate_backward(const Matrix& gate, const Matrix& up, const Matrix& gradient, Matrix& d_gate,
                   Matrix& d_up) {
  d_gate.reshape(gate.rows(), gate.cols());
  d_up.reshape(gate.rows(), gate.cols());
  parallel_ranges(gate.rows(), kRows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < gate.cols(); ++j) {
        const float g = gate(i, j), s = sigmoid(g);
        d_gate(i, j) = gradient(i, j) * up(i, j) * s * (1 + g * (1 - s));
        d_up(i, j) = gradient(i, j) * g * s;
      }
  });
}

Attended attention_forward(const Matrix& q, const Matrix& k, const Matrix& v, HeadCounts counts) {
  Attended state{.out = Matrix::zeros(q.rows(), q.cols()), .probabilities = {}};
  const float scale = 1 / std::sqrt(static_cast<float>(counts.head_dim));
  for (int64_t head = 0; head < counts.heads; ++head) {
    const int64_t kv = head * counts.kv_heads / counts.heads, dim = counts.head_dim;
    Matrix scores = multiply(head_of(q, head, dim), false, head_of(k, kv, dim), true);
    causal_softmax(scores, scale);
    add_head(state.out, head, multiply(scores.view(), false, head_of(v, kv, dim), false));
    state.probabilities.push_back(std::move(scores));
  }
  return state;
}

void attention_backward(const Attended& state, const Matrix& q, const Matrix& k, const Matrix& v,
                        HeadCounts counts, const Matrix& gradient, Matrix& dq, Matrix& dk,
                        Matrix& dv) {
  dq = Matrix::zeros(q.rows(), q.cols());
  dk = Matrix::zeros(k.rows(), k.cols());
  dv = Matrix::zeros(v.rows(), v.cols());
  const float scale = 1 / std::sqrt(static_cast<float>(counts.head_dim));
  for (int64_t head = 0; head < counts.heads; ++head) {
    const int64_t kv = head * counts.kv_heads / counts.heads, dim = counts.head_dim;
    const Matrix& p = state.probabilities[static_cast<size_t>(head)];
    const ConstFloatView d_out = head_of(gradient, head, dim);
    add_head(dv, kv, multiply(p.view(), true, d_out, false));
    Matrix d_scores = multiply(d_out, false, head_of(v, kv, dim), true);  // of probabilities
    parallel_ranges(p.rows(), kRows, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        double dot = 0;
        for (int64_t j = 0; j <= i; ++j) dot += double{d_scores(i, j)} * p(i, j);
        for (int64_t j = 0; j < p.cols(); ++j)
          d_scores(i, j) = scale * p(i, j) * (d_scores(i, j) - static_cast<float>(dot));
      }
    });
    add_head(dq, head, multiply(d_scores.view(), false, head_of(k, kv, dim), false));
    add_head(dk, kv, multiply(d_scores.view(), true, head_of(q, head, dim), false));
  }
}

}  // namespace stamp::flatquant
