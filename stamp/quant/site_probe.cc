#include "stamp/quant/site_probe.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "stamp/quant/klt.h"
#include "stamp/quant/metrics.h"
#include "stamp/quant/row_quantizer.h"

namespace stamp {
namespace {

std::vector<float> magnitudes(ConstFloatView x) {
  std::vector<float> result;
  for (int64_t i = 0; i < x.rows; ++i) {
    const Range range = range_of(x.row_span(i));
    result.push_back(std::max(-range.low, range.high));
  }
  return result;
}

bool detects(const TokenSpec& spec) {
  return spec.sequence.skip_tokens == kDetectSinks && spec.sequence.transform != "identity";
}

}  // namespace

bool needs_probe(const TokenSpec& spec) {
  return spec.bits < 16 && (spec.sequence.transform == "klt" || detects(spec));
}

TokenSpec with_sinks(TokenSpec spec, const SiteStatistics& statistics) {
  if (detects(spec)) spec.sequence.skip_tokens = statistics.skip_tokens;
  return spec;
}

SiteProbe::SiteProbe(const TokenSpec& spec, std::string center)
    : spec_(spec), centered_(center == "static"), block_tokens_(spec.sequence.block_tokens) {
  massive_.resize(kMostSinks);
}

void SiteProbe::add_massive(ConstFloatView x, int64_t position) {
  if (position != 0) return;
  const std::vector<float> all = magnitudes(x);
  std::vector<float> sorted = all;
  const double median = quantile(sorted, 0.5);
  const auto first = static_cast<size_t>(std::min<int64_t>(kMostSinks, x.rows));
  for (size_t t = 0; t < first; ++t) massive_[t] += all[t] > kMassiveRatio * median;
  ++beginnings_;
}

void SiteProbe::subtract_mean(FloatView x) {
  sum_.resize(static_cast<size_t>(x.cols));
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t c = 0; c < x.cols; ++c) sum_[static_cast<size_t>(c)] += x(i, c);
  tokens_ += x.rows;
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t c = 0; c < x.cols; ++c)
      x(i, c) -= static_cast<float>(sum_[static_cast<size_t>(c)] / static_cast<double>(tokens_));
}

void SiteProbe::add_covariance(FloatView x, int64_t position) {
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const int64_t asked = spec_.sequence.klt_tokens > 0 ? spec_.sequence.klt_tokens : kMaxKltTokens;
  const int64_t tokens = std::min({asked, kMaxKltTokens, block_tokens_});
  covariance_.resize(static_cast<size_t>(tokens * tokens));
  Eigen::Map<Eigen::MatrixXd> sum(covariance_.data(), tokens, tokens);
  SequenceSpec sequence = spec_.sequence;  // the first tokens may turn out to be sinks
  if (detects(spec_)) sequence.skip_tokens = kMostSinks;
  for (const TokenBlock& block : token_blocks(sequence, x.rows, position)) {
    if (block.sinks == block.count) continue;
    const FloatView rows = x.rows_from(block.first, block.count);
    for (int64_t i = 0; i < block.sinks; ++i)
      std::copy_n(rows.row(block.sinks), x.cols, rows.row(i));
    for (int64_t first = 0; first + tokens <= block.count; first += tokens) {
      const Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>> part(
          rows.row(first), tokens, x.cols, Eigen::OuterStride<>(x.stride));
      sum += (part * part.transpose()).cast<double>();
      ++blocks_;
    }
  }
}

void SiteProbe::add(FloatView x, int64_t position) {
  if (block_tokens_ == 0) block_tokens_ = x.rows;
  if (detects(spec_)) add_massive(x, position);
  if (spec_.sequence.transform != "klt") return;
  if (centered_) subtract_mean(x);
  add_covariance(x, position);
}

SiteStatistics SiteProbe::finish() const {
  SiteStatistics statistics;
  for (const double sum : covariance_)
    statistics.covariance.push_back(
        static_cast<float>(sum / static_cast<double>(std::max<int64_t>(1, blocks_))));
  statistics.skip_tokens = spec_.sequence.skip_tokens;
  if (!detects(spec_)) return statistics;
  statistics.skip_tokens = 0;
  for (size_t t = 0; t < massive_.size(); ++t)
    if (massive_[t] > 0 && 2 * massive_[t] >= beginnings_)
      statistics.skip_tokens = static_cast<int>(t) + 1;
  return statistics;
}

}  // namespace stamp
