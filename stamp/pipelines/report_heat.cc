// Heat maps and their colours.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "stamp/pipelines/report_parts.h"
#include "stamp/pipelines/svg.h"

namespace stamp::report {
namespace {

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

}  // namespace

// One path per colour made of horizontal runs: far smaller than one rectangle per cell.
std::string heat_cells(const Matrix& m, const Axis& axis, double left, double top, double side) {
  std::array<std::string, kLevels> runs;
  const double cell = side / static_cast<double>(std::max(m.rows(), m.cols()));
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
          fmt::format("M{} {}h{}v{}h{}z", coordinate(left + static_cast<double>(j) * cell),
                      coordinate(top + static_cast<double>(i) * cell),
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

void draw_heat_legend(Svg& svg, const Axis& axis, double left, double top, double side,
                      const std::string& unit) {
  const double step = side / kLevels;
  for (int l = 0; l < kLevels; ++l) {
    svg.raw(fmt::format(
        "<rect class=\"cell\" fill=\"{}\" x=\"{}\" y=\"{}\" width=\"14\" height=\"{}\"/>\n",
        level_colour(l), left, coordinate(top + side - (l + 1) * step), coordinate(step)));
  }
  for (const Tick& tick : axis.ticks) {
    const double y = axis.place(tick.value, top + side, top);
    svg.line(left + 14, y, left + 18, y, "axis");
    svg.text(left + 22, y + 4, tick.label, "tick");
  }
  svg.text(left - 8, top + side / 2, unit, "unit middle turn");
}

}  // namespace stamp::report
