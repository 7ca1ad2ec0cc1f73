// From fp32 rows to codes: rotation, centering, L, ranges and rounding while the rows are in cache.
#include <algorithm>
#include <bit>

#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"
#include "stamp/quant/activation_codes.h"
#include "stamp/quant/bit_plan.h"
#include "stamp/quant/grid_transform.h"
#include "stamp/quant/haar.h"

namespace stamp {
namespace {

constexpr int64_t kMaxCols = 65536;            // 128 * 255 * cols < 2^31
constexpr int64_t kTileFloats = 1 << 17;       // of one thread: half of a 1 MB L2
constexpr int64_t kMaxPatchRows = 256;         // larger ones would not stay in cache
constexpr int64_t kStripColumns = 128;         // of a patch of 64 rows: two thirds of L1
constexpr int64_t kElementsPerTask = 1 << 16;  // less is not worth waking a thread

int floor_log2(int64_t n) {
  return std::bit_width(static_cast<uint64_t>(std::max<int64_t>(n, 1))) - 1;
}

/// Distance of two rows that do not compete for the same cache sets.
int64_t padded_stride(int64_t cols) {
  const int64_t stride = (cols + 15) / 16 * 16;
  return stride % 1024 == 0 ? stride + 16 : stride;
}

/// The input, mapped row by row.
class RowSource {
 public:
  RowSource(ConstFloatView x, const FeatureMap& map) : x_(x), map_(map, x.cols) {
    plain_ = map.empty();
  }
  ConstFloatView view() const { return x_; }
  bool plain() const { return plain_; }
  /// Row `token` where it lies or, mapped, in `row`. `scratch` holds x.cols floats.
  const float* get(int64_t token, float* row, float* scratch) const {
    if (plain_) return x_.row(token);
    load(token, row, scratch);
    return row;
  }
  void load(int64_t token, float* row, float* scratch) const {
    map_.apply(x_.row(token), row, scratch);
  }

 private:
  ConstFloatView x_;
  RowMap map_;
  bool plain_;
};

/// One block of tokens that L mixes, as rows [first_row, ...) of `out`.
class BlockEncoder {
 public:
  BlockEncoder(const RowSource& source, const QuantizerSpec& spec, const TokenBlock& block,
               int64_t first_row, ActivationCodes& out, Communicator* peers)
      : source_(source),
        spec_(spec),
        block_(block),
        first_row_(first_row),
        out_(out),
        peers_(peers) {}

  void lifted(std::span<const uint8_t> bits, int levels);
  void patches(std::span<const uint8_t> bits, const GridPatches& patches);
  /// All rows in memory at a time: x := transform(x), then row i has bits_of(i).
  template <class Transform, class Bits>
  void whole(Transform&& transform, Bits&& bits_of);
  void sinks();

 private:
  struct Scratch {  // of one thread
    FloatView tile;
    float *row, *work;
  };
  void reserve(int64_t tile_rows);
  Scratch scratch() const;
  /// The token whose values stand in place t of the block.
  int64_t token(int64_t t) const { return block_.first + std::max(t, block_.sinks); }
  FloatView lift_tile(int64_t first, int64_t rows, int levels, const Scratch& memory) const;
  /// Ranges of rows 0 .. count - 1 over the columns of all processes; empty: `values` of a row are
  /// all that there is of it.
  template <class Values>
  std::vector<Range> shared_ranges(int64_t count, Values&& values) const;
  void write(const float* values, int bits, int64_t row, const Range* shared = nullptr);

  const RowSource& source_;
  const QuantizerSpec& spec_;
  const TokenBlock& block_;
  int64_t first_row_, tile_rows_ = 0;
  ActivationCodes& out_;
  Communicator* peers_;
};

void BlockEncoder::reserve(int64_t tile_rows) {
  tile_rows_ = tile_rows;
  out_.scratch.reshape((tile_rows + 2) * threads(), padded_stride(out_.cols));
}

BlockEncoder::Scratch BlockEncoder::scratch() const {
  Matrix& all = out_.scratch;
  const int64_t first = (tile_rows_ + 2) * omp_get_thread_num(), row = first + tile_rows_;
  return {{all.row(first), tile_rows_, out_.cols, all.cols()}, all.row(row), all.row(row + 1)};
}

template <class Values>
std::vector<Range> BlockEncoder::shared_ranges(int64_t count, Values&& values) const {
  if (peers_ == nullptr) return {};
  std::vector<float> ends;
  for (int64_t i = 0; i < count; ++i) {
    const Range own = range_of({values(i), static_cast<size_t>(out_.cols)});
    ends.insert(ends.end(), {-own.low, own.high});
  }
  peers_->maximum(ends);
  std::vector<Range> ranges;
  for (size_t i = 0; i < ends.size(); i += 2) ranges.push_back({-ends[i], ends[i + 1]});
  return ranges;
}

void BlockEncoder::write(const float* values, int bits, int64_t row, const Range* shared) {
  const int64_t cols = out_.cols;
  int8_t* codes = out_.row(row);
  RowConstants* constants = &out_.constants[static_cast<size_t>(row * out_.blocks())];
  out_.limits[static_cast<size_t>(row)] = static_cast<uint8_t>(bits == 0 ? 0 : 1 << (bits - 1));
  std::fill(codes + (bits == 0 ? 0 : cols), codes + out_.stride, int8_t{0});
  std::fill_n(constants, out_.blocks(), RowConstants{});
  if (bits == 0) return;
  const int64_t step = out_.block == 0 ? cols : out_.block;
  for (int64_t first = 0; first < cols; first += step, ++constants) {
    const int64_t count = std::min(step, cols - first);
    const Grid grid = make_grid(
        shared ? *shared : range_of({values + first, static_cast<size_t>(count)}), bits, spec_);
    constants->scale = grid.scale;
    constants->offset = grid.zero_point() - (1 << (bits - 1));
    constants->sum = kernels().quantize_s8(values + first, codes + first, count, grid.inverse,
                                           grid.low, grid.high, constants->offset);
  }
}

/// `levels` levels of L on rows [first, first + rows) of the block.
FloatView BlockEncoder::lift_tile(int64_t first, int64_t rows, int levels,
                                  const Scratch& memory) const {
  const FloatView tile = memory.tile.rows_from(0, rows);
  ConstFloatView from = source_.view().rows_from(block_.first + first, rows);
  if (!source_.plain() || first < block_.sinks) {
    for (int64_t i = 0; i < rows; ++i) source_.load(token(first + i), tile.row(i), memory.work);
    from = tile;
  }
  kernels().haar_lift(from.data, from.stride, tile.data, tile.stride, rows, tile.cols, levels);
  return tile;
}

/// As many levels as stay in cache tile by tile; the approximations are transformed further
/// afterwards.
void BlockEncoder::lifted(std::span<const uint8_t> bits, int levels) {
  const int64_t cols = std::max<int64_t>(1, out_.cols), count = block_.count;
  levels = std::min(levels, haar_max_levels(count));
  const int low = std::min(levels, std::max(1, floor_log2(kTileFloats / cols)));
  const int64_t run = int64_t{1} << low;
  const int64_t rows = std::max(run, int64_t{1} << floor_log2(kElementsPerTask / cols));
  const auto bits_of = [&](int64_t t) {
    return bits[static_cast<size_t>(haar_row(t, count, levels))];
  };
  if (peers_) return whole([&](FloatView x) { haar_lift(x, levels); }, bits_of);
  reserve(low == 0 ? 0 : rows);
  if (levels > low) out_.coarse.reshape((count + run - 1) / run, out_.cols);
  parallel_for((count + rows - 1) / rows, [&](int64_t task) {
    const int64_t first = task * rows, end = std::min(first + rows, count);
    const Scratch memory = scratch();
    const FloatView tile = low > 0 ? lift_tile(first, end - first, low, memory) : FloatView{};
    for (int64_t t = first; t < end; ++t) {
      const float* values =
          low > 0 ? tile.row(t - first) : source_.get(token(t), memory.row, memory.work);
      if (levels > low && t % run == 0)
        std::copy_n(values, out_.cols, out_.coarse.row(t / run));
      else
        write(values, bits_of(t), first_row_ + t);
    }
  });
  if (levels == low) return;
  haar_lift(out_.coarse.view(), levels - low);
  parallel_ranges(out_.coarse.rows(), kElementsPerTask / cols, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      write(out_.coarse.row(i), bits_of(i * run), first_row_ + i * run);
  });
}

/// Patch by patch, in a tile of every thread.
void BlockEncoder::patches(std::span<const uint8_t> bits, const GridPatches& patches) {
  const int64_t size = patches.patch_rows();
  reserve(size);
  parallel_for(block_.count / size, [&](int64_t patch) {
    const Scratch memory = scratch();
    for (int64_t i = 0; i < size; ++i) {
      const int32_t place = patches.tokens[static_cast<size_t>(patch * size + i)];
      source_.load(token(place), memory.tile.row(i), memory.work);
    }
    for (int64_t first = 0; first < out_.cols; first += kStripColumns)
      haar2d_lift(memory.tile.cols_from(first, std::min(kStripColumns, out_.cols - first)),
                  patches.levels);
    for (int64_t i = 0; i < size; ++i) {
      const int64_t row = patch * size + i;
      const int32_t coefficient = patches.rows[static_cast<size_t>(row)];
      write(memory.tile.row(i), bits[static_cast<size_t>(coefficient)], first_row_ + row);
    }
  });
}

template <class Transform, class Bits>
void BlockEncoder::whole(Transform&& transform, Bits&& bits_of) {
  const int64_t grain = kElementsPerTask / std::max<int64_t>(1, out_.cols);
  out_.coarse.reshape(block_.count, out_.cols);
  reserve(0);
  parallel_ranges(block_.count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      source_.load(token(t), out_.coarse.row(t), scratch().work);
  });
  transform(out_.coarse.view());
  const auto ranges = shared_ranges(block_.count, [&](int64_t i) { return out_.coarse.row(i); });
  parallel_ranges(block_.count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      write(out_.coarse.row(i), bits_of(i), first_row_ + i,
            ranges.empty() ? nullptr : &ranges[static_cast<size_t>(i)]);
  });
}

/// Patches that a block is encoded in; none for other transforms, where tokens are sinks, and when
/// a patch is large.
GridPatches patches_of(const SequenceTransform& transform, const TokenBlock& block,
                       const TransformParams& params) {
  if (transform.forward != haar2d_forward || block.sinks > 0) return {};
  GridPatches patches = haar2d_patches(block.count, params);
  return patches.patch_rows() > kMaxPatchRows ? GridPatches{} : patches;
}

void BlockEncoder::sinks() {
  reserve(0);
  const Scratch memory = scratch();
  const auto values = [&](int64_t i) {
    return source_.get(block_.first + i, memory.row, memory.work);
  };
  const auto ranges = shared_ranges(block_.sinks, values);
  for (int64_t i = 0; i < block_.sinks; ++i)
    write(values(i), kSinkBits, first_row_ + i,
          ranges.empty() ? nullptr : &ranges[static_cast<size_t>(i)]);
}

/// Neighbouring blocks of one token each (steps of several sequences) that can be encoded as one: L
/// of a lone row is the row.
struct EncodedBlock {
  TokenBlock block;
  bool lone = false;
};

std::vector<EncodedBlock> join_lone_rows(const std::vector<TokenBlock>& blocks, bool lifted) {
  std::vector<EncodedBlock> result;
  for (const TokenBlock& block : blocks) {
    const bool lone = lifted && block.count == 1 && block.sinks == 0;
    if (lone && !result.empty() && result.back().lone)
      ++result.back().block.count;
    else
      result.push_back({block, lone});
  }
  return result;
}

}  // namespace

void TokenQuantizer::encode(ConstFloatView x, TokenRows token_rows, const FeatureMap& input,
                            ActivationCodes& out, Communicator* peers) const {
  if (!can_encode())
    throw_argument(
        "encode: expected a quantizer of at most 8 bits and blocks of a multiple of 8 columns, got "
        "{} bits, blocks of {}",
        spec_.bits, spec_.quantizer.block);
  if (x.cols > kMaxCols)
    throw_argument("encode: expected at most {} columns, got {}", kMaxCols, x.cols);
  if (spec_.quantizer.block > 0) peers = nullptr;  // no scale spans columns of several
  const RowSource source(x, input);
  const std::vector<EncodedBlock> blocks =
      join_lone_rows(token_blocks(spec_.sequence, x.rows, token_rows), transform_->lifted);
  int64_t rows = 0;
  for (const auto& [block, lone] : blocks)
    rows += block.sinks + (block.sinks == block.count ? 0 : block.count);
  out.reshape(x.rows, rows, x.cols, spec_.quantizer.block);
  int64_t row = 0;
  for (const auto& [block, lone] : blocks) {
    if (lone) {
      const std::vector<uint8_t> bits(static_cast<size_t>(block.count), widths(1, 0)->front());
      BlockEncoder(source, spec_.quantizer, block, row, out, peers).lifted(bits, 0);
      out.runs.push_back({.first_row = row, .first_token = block.first, .rows = block.count});
      row += block.count;
    } else if (block.sinks < block.count) {
      const Widths bits = widths(block.count, block.sinks);
      BlockEncoder encoder(source, spec_.quantizer, block, row, out, peers);
      CodeRun run{.first_row = row,
                  .first_token = block.first,
                  .rows = block.count,
                  .replaced = block.sinks};
      if (transform_->lifted) {
        run.levels = std::min(block_levels(spec_, block.count), haar_max_levels(block.count));
        encoder.lifted(*bits, run.levels);
      } else if (GridPatches patches = patches_of(*transform_, block, params(block.count));
                 !patches.tokens.empty() && peers == nullptr) {
        encoder.patches(*bits, patches);
        run.levels = patches.levels;
        run.patch = patches.patch_rows();
        run.tokens = out.patch_tokens.emplace_back(std::move(patches.tokens)).data();
      } else {
        run.generic = transform_;
        run.params = params(block.count);
        encoder.whole([&](FloatView rows_of_l) { run.generic->forward(rows_of_l, run.params); },
                      [&](int64_t i) { return (*bits)[static_cast<size_t>(i)]; });
      }
      out.runs.push_back(run);
      row += block.count;
    }
    if (block.sinks == 0) continue;
    BlockEncoder(source, spec_.quantizer, block, row, out, peers).sinks();
    out.runs.push_back({.first_row = row, .first_token = block.first, .rows = block.sinks});
    row += block.sinks;
  }
}

}  // namespace stamp
