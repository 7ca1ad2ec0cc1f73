#include "stamp/quant/bit_budget.h"

#include <cmath>
#include <queue>

#include "stamp/core/error.h"
#include "stamp/quant/bit_plan.h"

namespace stamp {
namespace {

constexpr int kSteps = 16;  // per bit
constexpr int kMostBits = 8;

/// Error of a site at every affordable average, from `first` sixteenths of a bit on.
struct Curve {
  int first = 0;
  std::vector<double> error;
};

Curve error_curve(const BudgetSite& site) {
  const auto tokens = static_cast<int64_t>(site.range2.size());
  const int skip = std::max(0, site.spec.sequence.skip_tokens);
  const double smallest = std::max(1, site.spec.plan.min_bits) +
                          kSinkBits * skip / static_cast<double>(std::max<int64_t>(1, tokens));
  Curve curve{.first = static_cast<int>(std::ceil(smallest * kSteps))};
  TokenSpec spec = site.spec;
  for (int step = curve.first; step <= kMostBits * kSteps; ++step) {
    spec.plan.average_bits = static_cast<double>(step) / kSteps;
    curve.error.push_back(site.sensitivity *
                          expected_error(row_bits(spec, tokens, skip, site.range2), site.range2));
  }
  return curve;
}

struct Gain {
  double value;  // per bit
  size_t site;
  bool operator<(const Gain& other) const {
    return value != other.value ? value < other.value : site > other.site;
  }
};

}  // namespace

std::vector<double> share_bits(std::span<const BudgetSite> sites, double average_bits) {
  std::vector<Curve> curves;
  std::vector<size_t> chosen(sites.size());
  double elements = 0, left = 0;
  for (const BudgetSite& site : sites) {
    curves.push_back(error_curve(site));
    elements += static_cast<double>(site.cols);
    left -= static_cast<double>(site.cols * curves.back().first);
  }
  left += average_bits * kSteps * elements;
  if (left < -1e-6)
    throw_argument("bit budget: {} bits on average are too few for min_bits and sink rows",
                   average_bits);
  const auto gain = [&](size_t s) {
    const std::vector<double>& error = curves[s].error;
    return Gain{(error[chosen[s]] - error[chosen[s] + 1]) / static_cast<double>(sites[s].cols), s};
  };
  std::priority_queue<Gain> gains;
  for (size_t s = 0; s < sites.size(); ++s)
    if (curves[s].error.size() > 1) gains.push(gain(s));
  while (!gains.empty()) {
    const size_t s = gains.top().site;
    gains.pop();
    if (static_cast<double>(sites[s].cols) > left + 1e-6) continue;
    left -= static_cast<double>(sites[s].cols);
    if (++chosen[s] + 1 < curves[s].error.size()) gains.push(gain(s));
  }
  std::vector<double> averages;
  for (size_t s = 0; s < sites.size(); ++s)
    averages.push_back((curves[s].first + static_cast<double>(chosen[s])) / kSteps);
  return averages;
}

}  // namespace stamp
