#include "stamp/quant/calibration.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/quant/bit_plan.h"
#include "stamp/quant/klt.h"
#include "stamp/quant/sequence_transform.h"
#include "stamp/quant/site_probe.h"

namespace stamp {
namespace {

constexpr int64_t kColumns = 64, kRowsPerTask = 16;

std::shared_ptr<const KltBasis> basis_of(const std::vector<float>& covariance) {
  return covariance.empty() ? nullptr : std::make_shared<const KltBasis>(covariance);
}

std::vector<float> averaged(const std::vector<double>& sums, int64_t count) {
  std::vector<float> result;
  for (const double sum : sums)
    result.push_back(static_cast<float>(sum / static_cast<double>(std::max<int64_t>(1, count))));
  return result;
}

}  // namespace

SiteCollector::SiteCollector(const TokenSpec& spec, std::string center, SiteStatistics probed)
    : spec_(with_sinks(spec, probed)),
      center_(std::move(center)),
      transform_(spec_, {}, basis_of(probed.covariance)),
      block_tokens_(spec.sequence.block_tokens),
      probed_(std::move(probed)) {}

void SiteCollector::add_to_mean(ConstFloatView x, int64_t position) {
  sum_.resize(static_cast<size_t>(x.cols));
  const int64_t first = std::clamp<int64_t>(spec_.sequence.skip_tokens - position, 0, x.rows);
  parallel_ranges(x.cols, kColumns, [&](int64_t begin, int64_t end) {
    for (int64_t i = first; i < x.rows; ++i) {
      for (int64_t c = begin; c < end; ++c) sum_[static_cast<size_t>(c)] += x(i, c);
    }
  });
  tokens_ += x.rows - first;
}

void SiteCollector::add_ranges(ConstFloatView transformed, int64_t sinks, int64_t group) {
  const bool centering = center_ != "none" && tokens_ > 0;
  const std::vector<float> mean = centering ? averaged(sum_, tokens_) : std::vector<float>{};
  // How much of a constant row vector each row of L X holds.
  Matrix ones(transformed.rows, 1);
  std::fill_n(ones.data(), ones.rows(), 1.0f);
  if (centering) transform_.forward_block(ones.view());
  range2_.resize(static_cast<size_t>(transformed.rows));
  centered_range2_.resize(range2_.size());
  parallel_ranges(transformed.rows, kRowsPerTask, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(transformed.cols));
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      const std::span<const float> plain = transformed.row_span(i);
      range2_[at] += row_range2(plain, spec_.quantizer, group);
      if (!centering) continue;
      for (size_t c = 0; c < row.size(); ++c) row[c] = plain[c] - ones(i, 0) * mean[c];
      centered_range2_[at] += row_range2(row, spec_.quantizer, group);
    }
  });
  sinks_ = std::max(sinks_, sinks);
  ++blocks_;
}

void SiteCollector::add(FloatView x, int64_t position, int64_t group) {
  if (!sum_.empty() && static_cast<int64_t>(sum_.size()) != x.cols) {
    throw_argument("calibration: expected windows of {} columns, got {}", sum_.size(), x.cols);
  }
  if (center_ != "none") add_to_mean(x, position);
  if (block_tokens_ == 0) block_tokens_ = x.rows;
  transform_.forward_only(x, position);
  for (const TokenBlock& block : token_blocks(spec_.sequence, x.rows, position)) {
    if (block.count != block_tokens_ || block.sinks == block.count) continue;
    add_ranges(x.rows_from(block.first, block.count), block.sinks, group);
  }
}

std::vector<float> SiteCollector::costs(const std::vector<double>& range2) const {
  const auto tokens = static_cast<int64_t>(range2.size());
  const std::vector<double> weights = inverse_column_energies(
      sequence_transform(spec_.sequence.transform), tokens, block_params(spec_, tokens));
  std::vector<double> sums;
  for (size_t i = 0; i < range2.size(); ++i) sums.push_back(range2[i] * weights[i]);
  return averaged(sums, blocks_);
}

bool SiteCollector::centering_pays(const SiteStatistics& plain,
                                   const SiteStatistics& centered) const {
  const auto error = [&](const std::vector<float>& range2) {
    return expected_error(row_bits(spec_, static_cast<int64_t>(range2.size()), sinks_, range2),
                          range2);
  };
  return error(centered.range2) < error(plain.range2);
}

SiteStatistics SiteCollector::finish() const {
  SiteStatistics plain = probed_, centered = probed_;
  plain.range2 = costs(range2_);
  if (center_ == "none") return plain;
  centered.range2 = costs(centered_range2_);
  centered.center = true;
  plain.mean = centered.mean = averaged(sum_, tokens_);
  if (center_ == "static") return centered;
  return blocks_ > 0 && spec_.bits < 16 && centering_pays(plain, centered) ? centered : plain;
}

}  // namespace stamp
