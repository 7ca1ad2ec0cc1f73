#include "stamp/nn/integer_matmul.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"
#include "stamp/nn/scratch.h"

namespace stamp {
namespace {

constexpr int64_t kColumns = PackedWeight::kColumns;
constexpr int64_t kBlock = 2048;  // channels whose bytes of one panel stay in L2 (128 KB)
constexpr int64_t kFewRows = 8;   // up to here nibbles are not worth unpacking
constexpr int64_t kStreamedBytes = 16 << 20;  // outputs that no cache keeps until they are read
constexpr int64_t kSmallWork = 1 << 18;  // multiply-adds below which other threads are not woken

/// Rows of signed bytes, whatever they mean.
struct CodeRows {
  const int8_t* data;
  int64_t stride, rows;
  const uint8_t* limits;  // null: none known
  bool simulated;
};

CodeRows rows_of(const ActivationCodes& x, Execution execution) {
  return {x.row(0), x.stride, x.rows, x.limits.data(), execution == Execution::kSimulated};
}
CodeRows rows_of(const FixedPointCodes& x, Execution) {
  return {x.row(0), x.stride, x.tokens * FixedPointCodes::kPlanes, nullptr, false};
}

/// What gemm_s8u8 computes, by fp32 products of integers: exact below 2^24.
void simulated_sums(const CodeRows& x, int64_t first, const uint8_t* bytes, int64_t count,
                    bool accumulate, int32_t* acc) {
  constexpr int64_t kDepth = 256;  // 256 * 128 * 255 < 2^24
  std::vector<float> a(static_cast<size_t>(x.rows * kDepth)), b(kDepth * kColumns),
      c(static_cast<size_t>(x.rows * kColumns));
  for (int64_t k = 0; k < count; k += kDepth) {
    const int64_t depth = std::min(kDepth, count - k);
    for (int64_t i = 0; i < x.rows; ++i)
      std::copy_n(x.data + i * x.stride + first + k, depth, a.data() + i * depth);
    for (int64_t p = 0; p < depth; ++p)
      for (int64_t j = 0; j < kColumns; ++j)
        b[static_cast<size_t>(p * kColumns + j)] =
            bytes[((k + p) / 4 * kColumns + j) * 4 + (k + p) % 4];
    kernels().gemm_f32(a.data(), depth, b.data(), kColumns, c.data(), kColumns, x.rows, kColumns,
                       depth, 0);
    for (int64_t i = 0; i < x.rows * kColumns; ++i)
      acc[i] = (k > 0 || accumulate ? acc[i] : 0) + static_cast<int32_t>(c[static_cast<size_t>(i)]);
  }
}

/// acc[rows, 64] = sums over channels [first, first + count) of panel p.
void channel_sums(const CodeRows& x, const PackedWeight& weight, int64_t p, int64_t first,
                  int64_t count, uint8_t* bytes, int32_t* acc) {
  const KernelTable& kernel = kernels();
  const uint8_t* panel = weight.panel(p) + first * kColumns * weight.bits() / 8;
  if (weight.bits() == 4 && x.rows <= kFewRows && !x.simulated)
    return kernel.gemm_s8u4(x.data + first, x.stride, panel, acc, kColumns, x.rows, count,
                            x.limits);
  const int u_limit = weight.bits() == 4 ? 15 : 255;
  for (int64_t k = 0; k < count; k += kBlock) {
    const int64_t block = std::min(kBlock, count - k);
    const uint8_t* source = panel + k * kColumns * weight.bits() / 8;
    if (weight.bits() == 4) {
      kernel.unpack_u4(source, bytes, block);
      source = bytes;
    }
    if (x.simulated) {
      simulated_sums(x, first + k, source, block, k > 0, acc);
      continue;
    }
    kernel.gemm_s8u8(x.data + first + k, x.stride, source, acc, kColumns, x.rows, block, x.limits,
                     u_limit, k > 0);
  }
}

/// Sums of the codes of every row over every group of channels: [rows, groups].
std::vector<int32_t> group_sums(const CodeRows& x, const PackedWeight& weight) {
  const int64_t groups = weight.groups(), group = weight.group();
  std::vector<int32_t> sums(static_cast<size_t>(x.rows * groups));
  parallel_ranges(x.rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t g = 0; g < groups; ++g) {
        const int8_t* codes = x.data + i * x.stride + g * group;
        int32_t sum = 0;
        for (int64_t k = 0; k < std::min(group, weight.in_dim() - g * group); ++k) sum += codes[k];
        sums[static_cast<size_t>(i * groups + g)] = sum;
      }
  });
  return sums;
}

/// acc[rows, 64] = sum_g scale_g (sum_k in g  a w) of panel p, in fp32.
void scaled_sums(const CodeRows& x, const PackedWeight& weight, int64_t p,
                 std::span<const int32_t> sums, uint8_t* bytes, int32_t* group_acc, float* acc) {
  const int64_t groups = weight.groups();
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t first = g * weight.group();
    channel_sums(x, weight, p, first, std::min(weight.group(), weight.padded_in_dim() - first),
                 bytes, group_acc);
    const float* scale = weight.scale(p, g);
    for (int64_t i = 0; i < x.rows; ++i) {
      const int32_t start = weight.bias() * sums[static_cast<size_t>(i * groups + g)];
      const int32_t* from = group_acc + i * kColumns;
      float* to = acc + i * kColumns;
      for (int64_t j = 0; j < kColumns; ++j) {
        const float term = scale[j] * static_cast<float>(from[j] - start);
        to[j] = g == 0 ? term : to[j] + term;
      }
    }
  }
}

/// Memory of one thread: the bytes of a panel and the sums of all rows.
struct Tile {
  uint8_t* bytes;
  int32_t* acc;
  float* scaled;
  float *gate, *up;

  Tile(int64_t rows, int64_t tokens, bool grouped, bool gated) {
    const int64_t bytes_size = kBlock * kColumns, acc_size = rows * kColumns * 4;
    const int64_t real_size = tokens * kColumns * 4;
    char* memory = static_cast<char*>(
        scratch(bytes_size + acc_size * (grouped ? 2 : 1) + (gated ? 2 * real_size : 0)));
    bytes = reinterpret_cast<uint8_t*>(memory);
    acc = reinterpret_cast<int32_t*>(memory += bytes_size);
    scaled = reinterpret_cast<float*>(memory += grouped ? acc_size : 0);
    gate = reinterpret_cast<float*>(memory += acc_size);
    up = reinterpret_cast<float*>(memory + (gated ? real_size : 0));
  }
};

/// One panel of ordinary activations: y [tokens, columns of the panel].
void panel_outputs(const ActivationCodes& x, const CodeRows& rows, const IntegerProduct& product,
                   int64_t p, std::span<const int32_t> sums, Tile& tile, FloatView y, bool add) {
  const PackedWeight& weight = *product.weight;
  const float* bias = product.bias.empty() ? nullptr : product.bias.data() + p * kColumns;
  if (weight.groups() == 1) {
    channel_sums(rows, weight, p, 0, weight.padded_in_dim(), tile.bytes, tile.acc);
    return decode_panel(x, tile.acc,
                        {.weight_bias = weight.bias(),
                         .column_scale = weight.scale(p),
                         .column_sum = weight.sum(p),
                         .bias = bias},
                        y, add,
                        x.tokens * weight.out_dim() * int64_t{sizeof(float)} > kStreamedBytes);
  }
  scaled_sums(rows, weight, p, sums, tile.bytes, tile.acc, tile.scaled);
  float column_sum[kColumns] = {};
  for (int64_t g = 0; g < weight.groups(); ++g)
    for (int64_t j = 0; j < kColumns; ++j)
      column_sum[j] += weight.scale(p, g)[j] * static_cast<float>(weight.sum(p, g)[j]);
  decode_panel(x, tile.scaled, {.column_sum = column_sum, .bias = bias}, y, add);
}

/// The same for fixed-point activations.
void panel_outputs(const FixedPointCodes& x, const CodeRows& rows, const IntegerProduct& product,
                   int64_t p, std::span<const int32_t> sums, Tile& tile, FloatView y, bool add) {
  scaled_sums(rows, *product.weight, p, sums, tile.bytes, tile.acc, tile.scaled);
  for (int64_t t = 0; t < x.tokens; ++t) {
    const float* plane = tile.scaled + t * FixedPointCodes::kPlanes * kColumns;
    const float scale = x.scale[static_cast<size_t>(t)];
    for (int64_t j = 0; j < y.cols; ++j) {
      const float sum =
          65536.0f * plane[j] + 256.0f * plane[kColumns + j] + plane[2 * kColumns + j];
      float value = scale * sum;
      if (!product.bias.empty()) value += product.bias[static_cast<size_t>(p * kColumns + j)];
      y(t, j) = add ? y(t, j) + value : value;
    }
  }
}

template <class Codes>
void check_shapes(const Codes& x, const IntegerProduct& product, FloatView out) {
  const PackedWeight& weight = *product.weight;
  if (weight.in_dim() != x.cols || out.rows != x.tokens || out.cols != weight.out_dim() ||
      (!product.bias.empty() && static_cast<int64_t>(product.bias.size()) != weight.out_dim()))
    throw_argument(
        "integer matmul: codes [{}, {}], weight [{}, {}] and {} biases do not give out [{}, {}]",
        x.tokens, x.cols, weight.out_dim(), weight.in_dim(), product.bias.size(), out.rows,
        out.cols);
}

/// Panels in contiguous ranges per thread, so that the weights stream; on the calling thread when
/// there is little to do.
template <class Body>
void for_each_panel(int64_t panels, int64_t work, Body&& body) {
  if (work >= kSmallWork) return parallel_ranges(panels, 1, body);
  body(int64_t{0}, panels);
}

template <class Codes>
void multiply(const Codes& x, std::span<const IntegerProduct> products, bool add, bool fixed_point,
              Execution execution) {
  struct Item {
    const IntegerProduct* product;
    const std::vector<int32_t>* sums;
    int64_t panel;
  };
  const CodeRows rows = rows_of(x, execution);
  std::vector<std::vector<int32_t>> sums(products.size());
  std::vector<Item> items;
  bool grouped = fixed_point;
  int64_t work = 0;
  for (size_t i = 0; i < products.size(); ++i) {
    const PackedWeight& weight = *products[i].weight;
    check_shapes(x, products[i], products[i].out);
    if (fixed_point || weight.groups() > 1) {
      sums[i] = group_sums(rows, weight);
      grouped = true;
    }
    for (int64_t p = 0; p < weight.panels(); ++p) items.push_back({&products[i], &sums[i], p});
    work += weight.out_dim() * weight.in_dim() * rows.rows;
  }
  if (x.tokens == 0) return;
  for_each_panel(static_cast<int64_t>(items.size()), work, [&](int64_t begin, int64_t end) {
    Tile tile(rows.rows, x.tokens, grouped, false);
    for (int64_t i = begin; i < end; ++i) {
      const Item& item = items[static_cast<size_t>(i)];
      const FloatView out = item.product->out;
      const int64_t first = item.panel * kColumns;
      panel_outputs(x, rows, *item.product, item.panel, *item.sums, tile,
                    out.cols_from(first, std::min(kColumns, out.cols - first)), add);
    }
  });
}

}  // namespace

void integer_matmul(const ActivationCodes& x, std::span<const IntegerProduct> products, bool add,
                    Execution execution) {
  multiply(x, products, add, false, execution);
}

void integer_matmul(const FixedPointCodes& x, std::span<const IntegerProduct> products, bool add) {
  multiply(x, products, add, true, Execution::kInteger);
}

void integer_matmul_gated(const ActivationCodes& x, const IntegerProduct& gate,
                          const IntegerProduct& up, FloatView out, Execution execution) {
  check_shapes(x, gate, out);
  check_shapes(x, up, out);
  if (x.tokens == 0) return;
  const CodeRows rows = rows_of(x, execution);
  const bool grouped = gate.weight->groups() > 1 || up.weight->groups() > 1;
  const std::vector<int32_t> gate_sums =
      grouped ? group_sums(rows, *gate.weight) : std::vector<int32_t>{};
  const std::vector<int32_t> up_sums =
      grouped ? group_sums(rows, *up.weight) : std::vector<int32_t>{};
  const int64_t work = 2 * out.cols * x.cols * x.rows;
  for_each_panel(gate.weight->panels(), work, [&](int64_t begin, int64_t end) {
    Tile tile(x.rows, x.tokens, grouped, true);
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = p * kColumns, columns = std::min(kColumns, out.cols - first);
      panel_outputs(x, rows, gate, p, gate_sums, tile, {tile.gate, x.tokens, columns, kColumns},
                    false);
      panel_outputs(x, rows, up, p, up_sums, tile, {tile.up, x.tokens, columns, kColumns}, false);
      for (int64_t t = 0; t < x.tokens; ++t)
        kernels().silu_mul(tile.gate + t * kColumns, tile.up + t * kColumns, out.row(t) + first,
                           columns);
    }
  });
}

}  // namespace stamp
