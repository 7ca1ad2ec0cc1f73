#include "stamp/nn/integer_matmul.h"

#include <algorithm>
#include <type_traits>

#include "stamp/core/cpu_features.h"
#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"
#include "stamp/nn/scratch.h"

namespace stamp {
namespace {

constexpr int64_t kColumns = PackedWeight::kColumns;
constexpr int64_t kFewRows = 8;       // up to here nibbles are not worth unpacking
constexpr int64_t kPartRows = 192;    // a multiple of the kernels' 6 rows and of short Haar runs
constexpr int64_t kGroupedRows = 48;  // sums and what they add up to stay in L1
constexpr int64_t kStreamedBytes = 16 << 20;  // outputs that no cache keeps until they are read
constexpr int64_t kSmallWork = 1 << 18;  // multiply-adds below which other threads are not woken

/// Rows of signed bytes, whatever they mean.
struct CodeRows {
  const int8_t* data;
  int64_t stride, rows;
  const uint8_t* limits;  // null: none known
  bool simulated;

  CodeRows part(int64_t first, int64_t count) const {
    return {data + first * stride, stride, count, limits ? limits + first : nullptr, simulated};
  }
};

CodeRows rows_of(const ActivationCodes& x, Execution execution) {
  return {x.row(0), x.stride, x.rows, x.limits.data(), execution == Execution::kSimulated};
}
CodeRows rows_of(const FixedPointCodes& x, Execution) {
  return {x.row(0), x.stride, x.tokens * FixedPointCodes::kPlanes, nullptr, false};
}

std::vector<CodeRun> parts_of(const ActivationCodes& x, int64_t part_rows) {
  return x.parts(part_rows);
}
std::vector<CodeRun> parts_of(const FixedPointCodes& x, int64_t part_rows) {
  const int64_t planes = FixedPointCodes::kPlanes, step = std::max<int64_t>(part_rows / planes, 1);
  std::vector<CodeRun> parts;
  for (int64_t t = 0; t < x.tokens; t += step)
    parts.push_back(
        {.first_row = planes * t, .first_token = t, .rows = planes * std::min(step, x.tokens - t)});
  return parts;
}

/// What gemm_s8u8 computes, by fp32 products of integers: exact below 2^24.
void simulated_sums(const CodeRows& x, int64_t first, const uint8_t* bytes, int64_t count,
                    int32_t* acc) {
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
      acc[i] = (k > 0 ? acc[i] : 0) + static_cast<int32_t>(c[static_cast<size_t>(i)]);
  }
}

/// A panel of one product and, unless the rows are few, its weights as bytes.
struct Panel {
  const IntegerProduct* product;
  const std::vector<RowConstants>* constants;  // [groups][rows]; empty: those of the codes will do
  int64_t index;
  const uint8_t* bytes = nullptr;
};

/// acc[rows, 64] = sums over channels [first, first + count).
void channel_sums(const CodeRows& x, const Panel& panel, int64_t first, int64_t count,
                  int32_t* acc) {
  const KernelTable& kernel = kernels();
  const PackedWeight& weight = *panel.product->weight;
  if (!panel.bytes)
    return kernel.gemm_s8u4(x.data + first, x.stride,
                            weight.panel(panel.index) + first * kColumns / 2, acc, kColumns, x.rows,
                            count, x.limits);
  const uint8_t* bytes = panel.bytes + first * kColumns;
  if (x.simulated) return simulated_sums(x, first, bytes, count, acc);
  kernel.gemm_s8u8(x.data + first, x.stride, bytes, acc, kColumns, x.rows, count, x.limits,
                   weight.bits() == 4 ? 15 : 255, 0);
}

int32_t sum_of_codes(const CodeRows& x, int64_t row, int64_t first, int64_t end) {
  const int8_t* codes = x.data + row * x.stride;
  int32_t sum = 0;
  for (int64_t k = first; k < end; ++k) sum += codes[k];
  return sum;
}

/// What makes sums over group g of the weight real.
RowConstants group_constants(const ActivationCodes& x, const CodeRows& rows, int64_t row,
                             const PackedWeight& weight, int64_t g) {
  const int64_t first = g * weight.group(), end = std::min(first + weight.group(), x.cols);
  const int64_t block = x.block == 0 ? 0 : first / x.block;
  RowConstants constants = x.constants[static_cast<size_t>(row * x.blocks() + block)];
  const bool whole_block = weight.group() == (x.block == 0 ? x.cols : x.block);
  if (!whole_block) constants.sum = sum_of_codes(rows, row, first, end);
  return constants;
}
RowConstants group_constants(const FixedPointCodes& x, const CodeRows& rows, int64_t row,
                             const PackedWeight& weight, int64_t g) {
  const int64_t first = g * weight.group(), end = std::min(first + weight.group(), x.cols);
  return {.scale = 1, .sum = sum_of_codes(rows, row, first, end)};
}

template <class Codes>
std::vector<RowConstants> all_constants(const Codes& x, const CodeRows& rows,
                                        const PackedWeight& weight) {
  const int64_t groups = weight.groups();
  std::vector<RowConstants> constants(static_cast<size_t>(rows.rows * groups));
  parallel_ranges(rows.rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t i = begin; i < end; ++i)
        constants[static_cast<size_t>(g * rows.rows + i)] = group_constants(x, rows, i, weight, g);
  });
  return constants;
}

/// scaled[rows, 64] = sum_g of the real sums of group g; `constants`: of the first row and group,
/// `stride` rows from group to group.
void scaled_sums(const CodeRows& x, const Panel& panel, const RowConstants* constants,
                 int64_t stride, int32_t* acc, float* scaled) {
  const PackedWeight& weight = *panel.product->weight;
  for (int64_t g = 0; g < weight.groups(); ++g) {
    const int64_t first = g * weight.group();
    channel_sums(x, panel, first, std::min(weight.group(), weight.padded_in_dim() - first), acc);
    kernels().add_scaled_s32(acc, constants + g * stride, x.rows, weight.bias(),
                             weight.scale(panel.index, g), weight.sum(panel.index, g), scaled,
                             g > 0);
  }
}

/// Memory of one thread: panels as bytes, the sums of a part of the rows, and what becomes of them
/// before a gate closes.
struct Tile {
  uint8_t* bytes;
  int32_t* acc;
  float* scaled;
  float *gate, *up;

  Tile(int64_t bytes_size, int64_t rows) {
    const int64_t acc_size = rows * kColumns * 4;
    char* memory = static_cast<char*>(scratch(bytes_size + 4 * acc_size));
    bytes = reinterpret_cast<uint8_t*>(memory);
    acc = reinterpret_cast<int32_t*>(memory += bytes_size);
    scaled = reinterpret_cast<float*>(memory += acc_size);
    gate = reinterpret_cast<float*>(memory += acc_size);
    up = reinterpret_cast<float*>(memory + acc_size);
  }
};

/// One panel and part of ordinary activations: y [tokens of the part, columns of the panel].
void panel_outputs(const ActivationCodes& x, const CodeRows& all_rows, const CodeRun& part,
                   const Panel& panel, Tile& tile, FloatView y, bool add, bool stream) {
  const PackedWeight& weight = *panel.product->weight;
  const CodeRows rows = all_rows.part(part.first_row, part.rows);
  const std::span<const float> biases = panel.product->bias;
  const float* bias = biases.empty() ? nullptr : biases.data() + panel.index * kColumns;
  if (panel.constants->empty()) {
    channel_sums(rows, panel, 0, weight.padded_in_dim(), tile.acc);
    return decode_panel(x, part, tile.acc,
                        {.weight_bias = weight.bias(),
                         .column_scale = weight.scale(panel.index),
                         .column_sum = weight.sum(panel.index),
                         .bias = bias},
                        y, add, stream);
  }
  for (int64_t i = 0; i < rows.rows; i += kGroupedRows)  // a part may be all there is
    scaled_sums(rows.part(i, std::min(kGroupedRows, rows.rows - i)), panel,
                panel.constants->data() + part.first_row + i, x.rows, tile.acc,
                tile.scaled + i * kColumns);
  decode_panel(part, tile.scaled, bias, y, add, stream);
}

/// The same for fixed-point activations.
void panel_outputs(const FixedPointCodes& x, const CodeRows& all_rows, const CodeRun& part,
                   const Panel& panel, Tile& tile, FloatView y, bool add, bool) {
  const std::span<const float> bias = panel.product->bias;
  scaled_sums(all_rows.part(part.first_row, part.rows), panel,
              panel.constants->data() + part.first_row, all_rows.rows, tile.acc, tile.scaled);
  for (int64_t t = 0; t < y.rows; ++t) {
    const float* plane = tile.scaled + t * FixedPointCodes::kPlanes * kColumns;
    const float scale = x.scale[static_cast<size_t>(part.first_token + t)];
    for (int64_t j = 0; j < y.cols; ++j) {
      const float sum =
          65536.0f * plane[j] + 256.0f * plane[kColumns + j] + plane[2 * kColumns + j];
      float value = scale * sum;
      if (!bias.empty()) value += bias[static_cast<size_t>(panel.index * kColumns + j)];
      y(t, j) = add ? y(t, j) + value : value;
    }
  }
}

void check_blocks(const ActivationCodes& x, const PackedWeight& weight) {
  if (x.blocks() > 1 && x.block % weight.group() != 0)
    throw_argument("integer matmul: a weight in groups of {} does not fit codes in blocks of {}",
                   weight.group(), x.block);
}
void check_blocks(const FixedPointCodes&, const PackedWeight&) {}

template <class Codes>
void check_shapes(const Codes& x, const IntegerProduct& product, FloatView out) {
  const PackedWeight& weight = *product.weight;
  check_blocks(x, weight);
  if (weight.in_dim() != x.cols || out.rows != x.tokens || out.cols != weight.out_dim() ||
      (!product.bias.empty() && static_cast<int64_t>(product.bias.size()) != weight.out_dim()))
    throw_argument(
        "integer matmul: codes [{}, {}], weight [{}, {}] and {} biases do not give out [{}, {}]",
        x.tokens, x.cols, weight.out_dim(), weight.in_dim(), product.bias.size(), out.rows,
        out.cols);
}

bool needs_constants(const ActivationCodes& x, const PackedWeight& weight) {
  return weight.groups() > 1 || x.blocks() > 1;
}
bool needs_constants(const FixedPointCodes&, const PackedWeight&) { return true; }

/// Products of one input, cut into groups of panels and parts of the rows. A thread takes a group
/// that half of its L2 holds as bytes, and part after part of the rows past it: from beyond L2 come
/// the rows once per group, and sums never leave it.
template <class Codes>
class Multiplication {
 public:
  Multiplication(const Codes& x, std::span<const IntegerProduct> products, Execution execution)
      : x_(x), products_(products), rows_(rows_of(x, execution)) {
    constants_.resize(products.size());
    bool grouped = false;
    for (size_t i = 0; i < products.size(); ++i)
      if (const PackedWeight& weight = *products[i].weight; needs_constants(x, weight)) {
        constants_[i] = all_constants(x, rows_, weight);
        grouped = true;
      }
    const int64_t kept = l2_bytes() / 3 / std::max<int64_t>(rows_.stride, 1) / 96 * 96;
    parts_ = parts_of(x, grouped ? kPartRows : std::clamp<int64_t>(kept, 96, kPartRows));
    for (const CodeRun& part : parts_) part_rows_ = std::max(part_rows_, part.rows);
  }

  /// The panels of every product, one product after the other.
  void run(bool add) {
    std::vector<Panel> panels;
    for (size_t i = 0; i < products_.size(); ++i)
      for (int64_t p = 0; p < products_[i].weight->panels(); ++p)
        panels.push_back({&products_[i], &constants_[i], p});
    for_each_group(panels, 1, [&](std::span<const Panel> group, const CodeRun& part, Tile& tile) {
      for (const Panel& panel : group) {
        const FloatView out = panel.product->out;
        const bool stream = out.rows * out.cols * int64_t{sizeof(float)} > kStreamedBytes;
        panel_outputs(x_, rows_, part, panel, tile, output(out, panel, part), add, stream);
      }
    });
  }

  /// out = silu(first product) * second product.
  void run_gated(FloatView out) {
    std::vector<Panel> panels;
    for (int64_t p = 0; p < products_[0].weight->panels(); ++p)
      for (size_t i = 0; i < 2; ++i) panels.push_back({&products_[i], &constants_[i], p});
    for_each_group(panels, 2, [&](std::span<const Panel> group, const CodeRun& part, Tile& tile) {
      CodeRun inside = part;  // tiles hold the tokens of the part one after the other
      inside.tokens = nullptr;
      for (size_t i = 0; i < group.size(); i += 2) {
        const FloatView y = output(out, group[i], part);
        panel_outputs(x_, rows_, inside, group[i], tile, {tile.gate, part.rows, y.cols, kColumns},
                      false, false);
        panel_outputs(x_, rows_, inside, group[i + 1], tile, {tile.up, part.rows, y.cols, kColumns},
                      false, false);
        for (int64_t t = 0; t < part.rows; ++t)
          kernels().silu_mul(tile.gate + t * kColumns, tile.up + t * kColumns,
                             y.row(part.tokens ? part.tokens[t] : t), y.cols);
      }
    });
  }

 private:
  static FloatView output(FloatView out, const Panel& panel, const CodeRun& part) {
    const int64_t first = panel.index * kColumns;
    const FloatView columns = out.cols_from(first, std::min(kColumns, out.cols - first));
    if (part.tokens) return columns.rows_from(part.first_token, out.rows - part.first_token);
    const int64_t tokens =
        part.rows / (std::is_same_v<Codes, FixedPointCodes> ? FixedPointCodes::kPlanes : 1);
    return columns.rows_from(part.first_token, tokens);
  }

  int64_t unpacked_bytes(const Panel& panel) const {
    const PackedWeight& weight = *panel.product->weight;
    const bool unpacks = weight.bits() == 4 && (rows_.rows > kFewRows || rows_.simulated);
    return unpacks ? weight.padded_in_dim() * kColumns : 0;
  }

  void unpack(Panel& panel, uint8_t*& bytes) const {
    const PackedWeight& weight = *panel.product->weight;
    if (weight.bits() == 8) {
      panel.bytes = weight.panel(panel.index);
    } else if (const int64_t size = unpacked_bytes(panel); size > 0) {
      kernels().unpack_u4(weight.panel(panel.index), bytes, weight.padded_in_dim());
      panel.bytes = bytes;
      bytes += size;
    }
  }

  /// How many groups `units` are cut into, when one takes `unit_bytes` as bytes.
  int64_t group_count(int64_t units, int64_t unit_bytes) const {
    constexpr int64_t kMostUnits = 4;  // more would save little and balance badly
    if (unit_bytes == 0) return std::min(units, int64_t{4} * threads());
    const int64_t fitting = std::clamp<int64_t>(l2_bytes() / 4 / unit_bytes, 1, kMostUnits);
    return (units + fitting - 1) / fitting;
  }

  /// body(panels, part, tile) for every part and groups of panels, multiples of `unit`, as bytes.
  /// A group is contiguous, so that the weights of few rows stream.
  template <class Body>
  void for_each_group(std::vector<Panel>& panels, int64_t unit, Body&& body) {
    int64_t work = 0, largest = 0;  // multiply-adds; bytes
    for (const Panel& panel : panels) {
      work += rows_.rows * panel.product->weight->in_dim() * kColumns;
      largest = std::max(largest, unpacked_bytes(panel));
    }
    const int64_t units = static_cast<int64_t>(panels.size()) / unit;
    const int64_t groups = group_count(units, unit * largest);
    const auto run_group = [&](int64_t g) {
      const int64_t first = units * g / groups * unit, last = units * (g + 1) / groups * unit;
      const std::span<Panel> group(panels.data() + first, static_cast<size_t>(last - first));
      Tile tile(largest * static_cast<int64_t>(group.size()), part_rows_);
      uint8_t* bytes = tile.bytes;
      for (Panel& panel : group) unpack(panel, bytes);
      for (const CodeRun& part : parts_) body(group, part, tile);
    };
    if (work >= kSmallWork) return parallel_for(groups, run_group);
    for (int64_t g = 0; g < groups; ++g) run_group(g);
  }

  const Codes& x_;
  std::span<const IntegerProduct> products_;
  CodeRows rows_;
  std::vector<std::vector<RowConstants>> constants_;  // per product
  std::vector<CodeRun> parts_;
  int64_t part_rows_ = 0;
};

template <class Codes>
void multiply(const Codes& x, std::span<const IntegerProduct> products, bool add,
              Execution execution) {
  for (const IntegerProduct& product : products) check_shapes(x, product, product.out);
  if (x.tokens > 0) Multiplication<Codes>(x, products, execution).run(add);
}

}  // namespace

void integer_matmul(const ActivationCodes& x, std::span<const IntegerProduct> products, bool add,
                    Execution execution) {
  multiply(x, products, add, execution);
}

void integer_matmul(const FixedPointCodes& x, std::span<const IntegerProduct> products, bool add) {
  multiply(x, products, add, Execution::kInteger);
}

void integer_matmul_gated(const ActivationCodes& x, const IntegerProduct& gate,
                          const IntegerProduct& up, FloatView out, Execution execution) {
  check_shapes(x, gate, out);
  check_shapes(x, up, out);
  if (x.tokens == 0) return;
  const IntegerProduct products[] = {gate, up};
  Multiplication<ActivationCodes>(x, products, execution).run_gated(out);
}

}  // namespace stamp
