// What one input looks like on the grid of patches, before and after L.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "stamp/pipelines/image_report_parts.h"
#include "stamp/pipelines/svg.h"

namespace stamp::report {
namespace {

constexpr double kSide = 250, kLeft = 4, kTop = 26, kLegend = 264, kWidth = 320;

std::string heat_panel(const std::string& title, const Matrix& m, const Axis& axis,
                       const std::string& unit) {
  Svg svg(kWidth, kTop + kSide + 8, title);
  svg.text(0, 15, title, "title");
  svg.raw(heat_cells(m, axis, kLeft, kTop, kSide));
  draw_heat_legend(svg, axis, kLegend, kTop, kSide, "");
  svg.text(kWidth - 4, kTop + kSide / 2, unit, "unit middle turn");
  return svg.finish();
}

/// Range of the values, those outside (share, 1 - share) left out.
Axis value_axis(const Matrix& m, double largest) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (int64_t i = 0; i < m.size(); ++i) {
    const double value = m.data()[i];
    if (!std::isfinite(value) || value >= largest) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  return linear_axis(std::isfinite(low) ? low : 0, std::isfinite(high) ? high : 1, 5);
}

Matrix decibels(const Matrix& energy) {
  Matrix result(energy.rows(), energy.cols());
  for (int64_t i = 0; i < energy.size(); ++i)
    result.data()[i] = 10 * std::log10(std::max(energy.data()[i], 1e-6f));
  return result;
}

/// Of both pictures, so that colours mean the same.
Axis common_axis(const Matrix& a, const Matrix& b) {
  float low = std::numeric_limits<float>::infinity(), high = -low;
  for (const Matrix* m : {&a, &b})
    for (int64_t i = 0; i < m->size(); ++i) {
      low = std::min(low, m->data()[i]);
      high = std::max(high, m->data()[i]);
    }
  return linear_axis(low, high, 5);
}

}  // namespace

std::string site_figure(const ImageComparison& comparison) {
  const ImageSitePicture& site = comparison.site;
  if (site.site.empty()) return "";
  const Matrix before = decibels(site.energy), after = decibels(site.transformed);
  const Axis axis = common_axis(before, after);
  const auto unity = std::nextafter(1.0, 0.0);  // the middle would hide the rest
  return figure("site", "What L makes of an input", "",
                "<div class=\"panels\">\n" +
                    heat_panel("Autocorrelation", site.autocorrelation,
                               value_axis(site.autocorrelation, unity - 1e-6), "correlation") +
                    heat_panel("Energy of each patch", before, axis, "dB of the mean") +
                    heat_panel("... after haar2d", after, axis, "dB of the mean") + "</div>\n",
                fmt::format("Input of <code>{}</code> half-way through the first image. Left: how "
                            "much patches at a distance of up to {} rows and columns share (the "
                            "middle is 1). Right: the energy gathers in the coarse sub-band at the "
                            "top left, which gets 8 bits.",
                            escape(site.site), site.autocorrelation.rows() / 2));
}

}  // namespace stamp::report
