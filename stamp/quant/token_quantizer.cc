#include "stamp/quant/token_quantizer.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "stamp/core/parallel.h"
#include "stamp/quant/bit_plan.h"
#include "stamp/quant/haar.h"
#include "stamp/quant/sequence_transform.h"

namespace stamp {
namespace {

constexpr size_t kCachedPlans = 64;
constexpr int64_t kElementsPerTask = 1 << 14;

/// Puts a copy of the first kept row in the places of the sinks: neighbours of equal content cost L
/// nothing.
void cover_sinks(FloatView block, int64_t sinks) {
  for (int64_t i = 0; i < sinks; ++i) std::copy_n(block.row(sinks), block.cols, block.row(i));
}

void put_back(const Matrix& sinks, FloatView block) {
  for (int64_t i = 0; i < sinks.rows(); ++i) std::copy_n(sinks.row(i), block.cols, block.row(i));
}

/// All rows at the widths that `bits(row)` gives.
template <class Bits>
void quantize_rows(FloatView x, const QuantizerSpec& spec, int64_t group, Bits&& bits) {
  const int64_t grain = std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, x.cols));
  parallel_ranges(x.rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) fake_quantize_row(x.row_span(i), bits(i), spec, group);
  });
}

void quantize_sinks(FloatView x, const QuantizerSpec& spec, int64_t group) {
  quantize_rows(x, spec, group, [](int64_t) { return kSinkBits; });
}

}  // namespace

void BitCount::add(const BitCount& other) {
  data_bits += other.data_bits;
  scale_bits += other.scale_bits;
  elements += other.elements;
}

double BitCount::average() const {
  return elements == 0 ? 0 : data_bits / static_cast<double>(elements);
}

double BitCount::average_with_scales() const {
  return elements == 0 ? 0 : (data_bits + scale_bits) / static_cast<double>(elements);
}

std::vector<TokenBlock> token_blocks(const SequenceSpec& spec, int64_t tokens, TokenRows rows) {
  const int64_t skip = spec.transform == "identity" ? 0 : spec.skip_tokens;
  std::vector<TokenBlock> blocks;
  rows.for_each(tokens, [&](int64_t start, const SequenceRows& part) {
    for (int64_t done = 0; done < part.count;) {
      const int64_t position = part.position + done, left = part.count - done;
      const int64_t room =
          spec.block_tokens > 0 ? spec.block_tokens - position % spec.block_tokens : left;
      const int64_t count = std::min(room, left);
      blocks.push_back({start + done, count, std::clamp<int64_t>(skip - position, 0, count)});
      done += count;
    }
  });
  return blocks;
}

/// Widths by (rows, sinks): waterfill is worth remembering.
struct TokenQuantizer::WidthCache {
  std::mutex guard;
  std::map<std::pair<int64_t, int64_t>, Widths> widths;
};

TokenQuantizer::TokenQuantizer(const TokenSpec& spec, std::vector<float> range2,
                               std::shared_ptr<const KltBasis> basis)
    : spec_(spec),
      range2_(std::move(range2)),
      basis_(std::move(basis)),
      cache_(std::make_shared<WidthCache>()) {
  check(spec_, "token quantizer");
  transform_ = &sequence_transform(spec_.sequence.transform);
  spec_.sequence.skip_tokens = std::max(0, spec_.sequence.skip_tokens);
}

TokenQuantizer::Widths TokenQuantizer::widths(int64_t tokens, int64_t sinks) const {
  const std::lock_guard lock(cache_->guard);
  const auto found = cache_->widths.find({tokens, sinks});
  if (found != cache_->widths.end()) return found->second;
  if (cache_->widths.size() >= kCachedPlans) cache_->widths.clear();
  const bool lone = tokens == 1 && spec_.plan.kind != "uniform";
  auto bits = lone ? std::vector<uint8_t>{static_cast<uint8_t>(spec_.plan.high_bits)}
                   : row_bits(spec_, tokens, sinks, range2_);
  return cache_->widths[{tokens, sinks}] =
             std::make_shared<const std::vector<uint8_t>>(std::move(bits));
}

TransformParams TokenQuantizer::params(int64_t tokens) const {
  return block_params(spec_, tokens, basis_);
}

void TokenQuantizer::apply_block(FloatView x, int64_t sinks, int64_t group) const {
  if (sinks == x.rows) return quantize_sinks(x, spec_.quantizer, group);
  const Widths bits = widths(x.rows, sinks);
  const TransformParams own = params(x.rows);
  Matrix kept = Matrix::copy_of(x.rows_from(0, sinks));
  cover_sinks(x, sinks);
  transform_->lifted ? haar_lift(x, own.levels) : transform_->forward(x, own);
  quantize_rows(x, spec_.quantizer, group, [&](int64_t i) {
    const int64_t row = transform_->lifted ? haar_row(i, x.rows, own.levels) : i;
    return (*bits)[static_cast<size_t>(row)];
  });
  transform_->lifted ? haar_unlift(x, own.levels) : transform_->inverse(x, own);
  quantize_sinks(kept.view(), spec_.quantizer, group);
  put_back(kept, x);
}

void TokenQuantizer::apply(FloatView x, TokenRows rows, int64_t group) const {
  if (!active()) return;
  for (const TokenBlock& block : token_blocks(spec_.sequence, x.rows, rows)) {
    apply_block(x.rows_from(block.first, block.count), block.sinks, group);
  }
}

void TokenQuantizer::forward_only(FloatView x, TokenRows token_rows) const {
  for (const TokenBlock& block : token_blocks(spec_.sequence, x.rows, token_rows)) {
    if (block.sinks == block.count) continue;
    const FloatView rows = x.rows_from(block.first, block.count);
    cover_sinks(rows, block.sinks);
    forward_block(rows);
  }
}

void TokenQuantizer::inverse_only(FloatView x, TokenRows token_rows) const {
  for (const TokenBlock& block : token_blocks(spec_.sequence, x.rows, token_rows))
    if (block.sinks < block.count)
      transform_->inverse(x.rows_from(block.first, block.count), params(block.count));
}

void TokenQuantizer::forward_block(FloatView x) const { transform_->forward(x, params(x.rows)); }

void TokenQuantizer::transform_only(FloatView x, int64_t position) const {
  for (const TokenBlock& block : token_blocks(spec_.sequence, x.rows, position)) {
    if (block.sinks == block.count) continue;
    const FloatView rows = x.rows_from(block.first, block.count);
    const Matrix kept = Matrix::copy_of(rows.rows_from(0, block.sinks));
    cover_sinks(rows, block.sinks);
    transform_->forward(rows, params(rows.rows));
    transform_->inverse(rows, params(rows.rows));
    put_back(kept, rows);
  }
}

BitCount TokenQuantizer::count_bits(int64_t tokens, int64_t cols, int64_t position,
                                    int64_t group) const {
  if (!active()) return {16.0 * static_cast<double>(tokens * cols), 0, tokens * cols};
  double row_bits_sum = 0, scaled_rows = 0;
  for (const TokenBlock& block : token_blocks(spec_.sequence, tokens, position)) {
    row_bits_sum += static_cast<double>(block.sinks * kSinkBits);
    scaled_rows += static_cast<double>(block.sinks);
    if (block.sinks == block.count) continue;
    for (const int bits : *widths(block.count, block.sinks)) {
      row_bits_sum += bits;
      scaled_rows += bits > 0;
    }
  }
  const double per_scale = spec_.quantizer.symmetric ? 16 : 16 + 8;
  const auto scales = static_cast<double>(scale_group_count(cols, group, spec_.quantizer.block));
  return {row_bits_sum * static_cast<double>(cols), scaled_rows * scales * per_scale,
          tokens * cols};
}

}  // namespace stamp
