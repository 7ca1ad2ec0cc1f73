// SQNR along the steps and of every kind of linear.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "stamp/pipelines/image_report_parts.h"
#include "stamp/pipelines/svg.h"

namespace stamp::report {
namespace {

constexpr double kWidth = 330, kLeft = 40, kRight = 322, kTop = 28, kBottom = 190;

Axis axis_over(const std::vector<double>& values) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  return linear_axis(low, high, 5);
}

void draw_decibels(Svg& svg, const Axis& axis) {
  for (const Tick& tick : axis.ticks) {
    const double y = axis.place(tick.value, kBottom, kTop);
    svg.line(kLeft, y, kRight, y, "grid");
    svg.text(kLeft - 6, y + 4, tick.label, "tick end");
  }
  svg.text(10, (kTop + kBottom) / 2, "SQNR, dB", "unit middle turn");
}

std::string steps_panel(const std::string& title, const ImageMethod& method, const Axis& axis) {
  Svg svg(kWidth, kBottom + 40, "SQNR of the prediction at every step, " + title);
  svg.text(0, 15, title, "title");
  draw_decibels(svg, axis);
  size_t steps = 1;
  for (const ImageCompareRow* row : method.rows) steps = std::max(steps, row->step_sqnr.size());
  const auto x = [&](size_t step) {
    return kLeft + (kRight - kLeft) * static_cast<double>(step) /
                       static_cast<double>(std::max<size_t>(1, steps - 1));
  };
  for (size_t step = 0; step < steps; step += std::max<size_t>(1, (steps + 4) / 5))
    svg.text(x(step), kBottom + 16, std::to_string(step + 1), "tick middle");
  svg.text((kLeft + kRight) / 2, kBottom + 34, "step", "unit middle");
  for (const ImageCompareRow* row : method.rows) {
    std::vector<std::pair<double, double>> points;
    for (size_t i = 0; i < row->step_sqnr.size(); ++i)
      points.emplace_back(x(i), axis.place(row->step_sqnr[i], kBottom, kTop));
    svg.path(points, "curve " + arm_colour(*row));
  }
  return svg.finish();
}

/// Mean over layers by the linear's name behind "blocks.3.".
std::vector<std::pair<std::string, double>> by_kind(const ImageCompareRow& row) {
  std::vector<std::pair<std::string, double>> sums;
  std::vector<int> counts;
  for (const auto& [name, sqnr] : row.layer_sqnr) {
    const std::string kind = name.substr(name.find('.', name.find('.') + 1) + 1);
    const auto found = std::find_if(sums.begin(), sums.end(),
                                    [&](const auto& entry) { return entry.first == kind; });
    const auto index = static_cast<size_t>(found - sums.begin());
    if (found == sums.end()) {
      sums.emplace_back(kind, 0.0);
      counts.push_back(0);
    }
    sums[index].second += sqnr;
    ++counts[index];
  }
  for (size_t i = 0; i < sums.size(); ++i) sums[i].second /= counts[i];
  return sums;
}

std::string layers_panel(const std::string& title, const ImageMethod& method, const Axis& axis) {
  const auto kinds = by_kind(*method.rows.front());
  const double bar = 6, group = bar * static_cast<double>(method.rows.size()) + 12, left = 104;
  const double bottom = kTop + group * static_cast<double>(kinds.size());
  Svg svg(kWidth, bottom + 38, "SQNR of each kind of linear, " + title);
  svg.text(0, 15, title, "title");
  for (const Tick& tick : axis.ticks) {
    const double x = axis.place(tick.value, left, kRight - 12);
    svg.line(x, kTop, x, bottom, "grid");
    svg.text(x, bottom + 15, tick.label, "tick middle");
  }
  svg.text((left + kRight) / 2, bottom + 33, "SQNR, dB", "unit middle");
  for (size_t r = 0; r < method.rows.size(); ++r) {
    const auto values = by_kind(*method.rows[r]);
    for (size_t i = 0; i < values.size(); ++i) {
      const double y = kTop + group * static_cast<double>(i) + 4 + bar * static_cast<double>(r);
      if (r == 0)
        svg.text(left - 6, kTop + group * (static_cast<double>(i) + 0.5) + 4, values[i].first,
                 "tick end");
      svg.rect(left, y, axis.place(values[i].second, left, kRight - 12) - left, bar - 1,
               "bar " + arm_colour(*method.rows[r]),
               values[i].first + ", " + arm_label(*method.rows[r]) + ": " +
                   number(values[i].second, 1) + " dB");
    }
  }
  return svg.finish();
}

template <class Values, class Panel>
std::string panels(const ImageComparison& comparison, bool from_zero, Values&& values,
                   Panel&& panel) {
  std::string html;
  for (const ImageWidths& widths : group_rows(comparison)) {
    std::vector<double> all;
    if (from_zero) all.push_back(0);
    for (const ImageMethod& method : widths.methods)
      for (const ImageCompareRow* row : method.rows) values(*row, all);
    if (all.size() < 2) continue;
    const Axis axis = axis_over(all);
    html += "<div class=\"panels\">\n";
    for (const ImageMethod& method : widths.methods)
      html += panel(widths.name + ", " + feature_name(method.feature), method, axis);
    html += "</div>\n";
  }
  return html;
}

}  // namespace

std::string steps_figure(const ImageComparison& comparison) {
  const std::string html = panels(
      comparison, false,
      [](const ImageCompareRow& row, std::vector<double>& all) {
        all.insert(all.end(), row.step_sqnr.begin(), row.step_sqnr.end());
      },
      steps_panel);
  if (html.empty()) return "";
  return figure("steps", "Each step on its own", arm_legend(comparison), html,
                "SQNR of the noise prediction for the unquantized model's own latents, so that "
                "errors of earlier steps do not count; mean over prompts.");
}

std::string layers_figure(const ImageComparison& comparison) {
  const std::string html = panels(
      comparison, true,
      [](const ImageCompareRow& row, std::vector<double>& all) {
        for (const auto& [kind, value] : by_kind(row)) all.push_back(value);
      },
      layers_panel);
  if (html.empty()) return "";
  return figure("layers", "Each linear on its own", arm_legend(comparison), html,
                "SQNR of a linear's output for the input that it gets, pooled over steps of one "
                "image, mean over layers.");
}

}  // namespace stamp::report
