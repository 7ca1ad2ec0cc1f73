// How much neighbouring tokens have in common: a heat map.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "stamp/pipelines/report_parts.h"
#include "stamp/pipelines/svg.h"

namespace stamp::report {
namespace {

constexpr double kSide = 320, kLeft = 46, kTop = 12, kLegend = 396;
constexpr int kLevels = 32;

/// A perceptually even ramp from dark blue to yellow that reads the same without colour vision.
std::string ramp_colour(double share) {
  static constexpr std::array<std::array<double, 3>, 6> kStops = {{{38, 24, 84},
                                                                   {52, 78, 142},
                                                                   {34, 126, 142},
                                                                   {52, 171, 122},
                                                                   {142, 207, 78},
                                                                   {250, 230, 60}}};
  const double place = std::clamp(share, 0.0, 1.0) * (kStops.size() - 1);
  const auto i = std::min(static_cast<size_t>(place), kStops.size() - 2);
  const double t = place - static_cast<double>(i);
  std::array<int, 3> rgb{};
  for (size_t c = 0; c < 3; ++c) {
    rgb[c] = static_cast<int>(std::lround(kStops[i][c] * (1 - t) + kStops[i + 1][c] * t));
  }
  return fmt::format("#{:02x}{:02x}{:02x}", rgb[0], rgb[1], rgb[2]);
}

std::string level_colour(int level) { return ramp_colour((level + 0.5) / kLevels); }

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

/// One path per colour made of horizontal runs: far smaller than one rectangle per cell.
std::string cells(const Matrix& m, const Axis& axis) {
  std::array<std::string, kLevels> runs;
  const double cell = kSide / static_cast<double>(m.rows());
  const auto level = [&](int64_t i, int64_t j) {
    const double share = axis.place(m(i, j), 0, kLevels);
    return std::isfinite(share) ? std::min(static_cast<int>(share), kLevels - 1) : -1;
  };
  for (int64_t i = 0; i < m.rows(); ++i) {
    for (int64_t j = 0, end = 0; j < m.cols(); j = end) {
      const int colour = level(i, j);
      for (end = j + 1; end < m.cols() && level(i, end) == colour;) ++end;
      if (colour < 0) continue;
      runs[static_cast<size_t>(colour)] +=
          fmt::format("M{} {}h{}v{}h{}z", coordinate(kLeft + static_cast<double>(j) * cell),
                      coordinate(kTop + static_cast<double>(i) * cell),
                      coordinate(static_cast<double>(end - j) * cell), coordinate(cell),
                      coordinate(-static_cast<double>(end - j) * cell));
    }
  }
  std::string markup;
  for (int l = 0; l < kLevels; ++l) {
    const std::string& run = runs[static_cast<size_t>(l)];
    if (!run.empty()) {
      markup += fmt::format("<path class=\"cell\" fill=\"{}\" d=\"{}\"/>\n", level_colour(l), run);
    }
  }
  return markup;
}

void draw_legend(Svg& svg, const Axis& axis) {
  const double step = kSide / kLevels;
  for (int l = 0; l < kLevels; ++l) {
    svg.raw(fmt::format(
        "<rect class=\"cell\" fill=\"{}\" x=\"{}\" y=\"{}\" width=\"14\" height=\"{}\"/>\n",
        level_colour(l), kLegend, coordinate(kTop + kSide - (l + 1) * step), coordinate(step)));
  }
  for (const Tick& tick : axis.ticks) {
    const double y = axis.place(tick.value, kTop + kSide, kTop);
    svg.line(kLegend + 14, y, kLegend + 18, y, "axis");
    svg.text(kLegend + 22, y + 4, tick.label, "tick");
  }
  svg.text(kLegend - 8, kTop + kSide / 2, "correlation", "unit middle turn");
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
  svg.raw(cells(m, axis));
  draw_ticks(svg, m.rows());
  draw_legend(svg, axis);
  return figure("autocorrelation", "Token autocorrelation", "",
                "<div class=\"panels\">" + svg.finish() + "</div>\n",
                "Input of <code>" + site +
                    "</code>: the brighter off the diagonal, the more tokens share and the more a "
                    "transform along them can gather. The diagonal is 1.");
}

}  // namespace stamp::report
