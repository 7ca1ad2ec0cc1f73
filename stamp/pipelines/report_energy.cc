// Energy per row before and after each sequence transform, with the bit plans drawn over it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "stamp/pipelines/report_parts.h"
#include "stamp/pipelines/svg.h"

namespace stamp::report {
namespace {

constexpr double kWidth = 390, kHeight = 270, kLeft = 50, kRight = 350, kTop = 30, kBottom = 222;
constexpr double kMaxBits = 8;

using Points = std::vector<std::pair<double, double>>;

/// Rows lie on a logarithmic axis: every Haar band is equally wide, and the few rows that hold the
/// energy show.
double row_x(double row, size_t rows) {
  const double span = std::log2(static_cast<double>(rows) + 1);
  return kLeft + (kRight - kLeft) * std::log2(row + 1) / span;
}

/// Mean energy of the rows that share a column of pixels.
Points energy_points(const std::vector<double>& energy, const Axis& axis) {
  Points points;
  double sum = 0, first = 0;
  size_t count = 0;
  for (size_t i = 0; i < energy.size(); ++i) {
    const double next = row_x(static_cast<double>(i) + 1, energy.size());
    if (count == 0) first = row_x(static_cast<double>(i), energy.size());
    sum += energy[i];
    ++count;
    if (next - first < 1.5 && i + 1 < energy.size()) continue;
    points.emplace_back((first + next) / 2,
                        axis.place(sum / static_cast<double>(count), kBottom, kTop));
    sum = 0;
    count = 0;
  }
  return points;
}

Points plan_steps(const std::vector<int>& bits) {
  Points points;
  for (size_t i = 0; i < bits.size(); ++i) {
    if (i > 0 && i + 1 < bits.size() && bits[i] == bits[i - 1] && bits[i] == bits[i + 1]) continue;
    const double y = kBottom - (kBottom - kTop) * std::clamp(bits[i] / kMaxBits, 0.0, 1.0);
    points.emplace_back(row_x(static_cast<double>(i), bits.size()), y);
    points.emplace_back(row_x(static_cast<double>(i) + 1, bits.size()), y);
  }
  return points;
}

Axis energy_axis(const SitePicture& picture) {
  double low = std::numeric_limits<double>::infinity(), high = 0;
  const auto add = [&](const std::vector<double>& energy) {
    for (double e : energy) {
      if (!std::isfinite(e) || e <= 0) continue;
      low = std::min(low, e);
      high = std::max(high, e);
    }
  };
  add(picture.energy_before);
  for (const auto& transformed : picture.transformed) add(transformed.energy);
  return log_axis(std::max(low, high * 1e-6), high);
}

void draw_frame(Svg& svg, const Axis& axis, size_t rows) {
  for (const Tick& tick : axis.ticks) {
    const double y = axis.place(tick.value, kBottom, kTop);
    svg.line(kLeft, y, kRight, y, "grid");
    svg.text(kLeft - 6, y + 4, tick.label, "tick end");
  }
  for (int bits = 0; bits <= kMaxBits; bits += 2) {
    const double y = kBottom - (kBottom - kTop) * bits / kMaxBits;
    svg.line(kRight, y, kRight + 4, y, "axis");
    svg.text(kRight + 8, y + 4, std::to_string(bits), "tick");
  }
  const size_t factor = rows > 64 ? 4 : 2;
  for (size_t row = 1; row <= rows; row *= factor) {
    const double x = row_x(static_cast<double>(row) - 0.5, rows);
    svg.line(x, kBottom, x, kBottom + 4, "axis");
    svg.text(x, kBottom + 17, std::to_string(row), "tick middle");
  }
  svg.line(kLeft, kBottom, kRight, kBottom, "axis");
  svg.line(kRight, kTop, kRight, kBottom, "axis");
  svg.text((kLeft + kRight) / 2, kBottom + 38, "row of L X, from 1 (log scale)", "unit middle");
  svg.text(10, (kTop + kBottom) / 2, "energy per row", "unit middle turn");
  svg.text(kWidth - 6, (kTop + kBottom) / 2, "bits", "unit middle turn");
}

std::string energy_panel(const SitePicture& picture, const SitePicture::Transformed& transformed,
                         const Axis& axis) {
  Svg svg(kWidth, kHeight, "Energy per row and bit plans, " + transformed.transform);
  svg.text(0, 16, transformed.transform, "title");
  draw_frame(svg, axis, transformed.energy.size());
  svg.path(energy_points(picture.energy_before, axis), "curve thin k-none");
  svg.path(energy_points(transformed.energy, axis), "curve " + colour_class(transformed.transform));
  svg.path(plan_steps(transformed.two_level), "curve plan dashed");
  svg.path(plan_steps(transformed.waterfill), "curve plan solid");
  return svg.finish();
}

}  // namespace

std::string energy_figure(const Comparison& comparison) {
  const SitePicture& picture = comparison.picture;
  std::string legend = "<span class=\"key line k-none\">energy before L</span>\n", drawings;
  for (const auto& transformed : picture.transformed) {
    if (transformed.energy.empty()) continue;
    legend += fmt::format("<span class=\"key line {}\">after {}</span>\n",
                          colour_class(transformed.transform), escape(transformed.transform));
    drawings += energy_panel(picture, transformed, energy_axis(picture));
  }
  if (drawings.empty()) return "";
  legend +=
      "<span class=\"key line plan dashed\">bits, two_level</span>\n"
      "<span class=\"key line plan\">bits, waterfill</span>\n";
  return figure(
      "energy", "Energy per row and the bits it is given", legend,
      "<div class=\"panels\">" + drawings + "</div>\n",
      "Input of <code>" + escape(picture.site) +
          "</code>: a transform gathers the energy in its first rows, and the plans spend "
          "their bits there (right axis).");
}

}  // namespace stamp::report
