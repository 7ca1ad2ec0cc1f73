// How much neighbouring tokens have in common: a heat map.
#include <algorithm>
#include <cmath>
#include <limits>

#include "stamp/pipelines/report_parts.h"
#include "stamp/pipelines/svg.h"

namespace stamp::report {
namespace {

constexpr double kSide = 320, kLeft = 46, kTop = 12, kLegend = 396;

/// Range of the values off the diagonal (which is 1 and would hide the rest).
Axis value_axis(const Matrix& m) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (int64_t i = 0; i < m.rows(); ++i) {
    for (int64_t j = 0; j < m.cols(); ++j) {
      if (i == j || !std::isfinite(m(i, j))) continue;
      low = std::min(low, double{m(i, j)});
      high = std::max(high, double{m(i, j)});
    }
  }
  return linear_axis(std::isfinite(low) ? low : 0, high, 5);
}

void draw_ticks(Svg& svg, int64_t tokens) {
  const int64_t stride = std::max<int64_t>(1, tokens / 4);
  for (int64_t t = 0; t <= tokens; t += stride) {
    const double place = kSide * static_cast<double>(t) / static_cast<double>(tokens);
    svg.line(kLeft + place, kTop + kSide, kLeft + place, kTop + kSide + 4, "axis");
    svg.text(kLeft + place, kTop + kSide + 17, std::to_string(t), "tick middle");
    svg.line(kLeft - 4, kTop + place, kLeft, kTop + place, "axis");
    svg.text(kLeft - 7, kTop + place + 4, std::to_string(t), "tick end");
  }
  svg.text(kLeft + kSide / 2, kTop + kSide + 36, "token", "unit middle");
  svg.text(12, kTop + kSide / 2, "token", "unit middle turn");
}

}  // namespace

std::string autocorrelation_figure(const Comparison& comparison) {
  const Matrix& m = comparison.picture.autocorrelation;
  if (m.rows() < 2 || m.rows() != m.cols()) return "";
  const std::string site = escape(comparison.picture.site);
  const Axis axis = value_axis(m);
  Svg svg(460, kTop + kSide + 44, "Token autocorrelation at " + comparison.picture.site);
  svg.raw(heat_cells(m, axis, kLeft, kTop, kSide));
  draw_ticks(svg, m.rows());
  draw_heat_legend(svg, axis, kLegend, kTop, kSide, "correlation");
  return figure("autocorrelation", "Token autocorrelation", "",
                "<div class=\"panels\">" + svg.finish() + "</div>\n",
                "Input of <code>" + site +
                    "</code>: the brighter off the diagonal, the more tokens share and the more a "
                    "transform along them can gather. The diagonal is 1.");
}

}  // namespace stamp::report
