// KL divergence as bars and perplexity as dots, one panel per bit widths and feature transform.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "stamp/pipelines/report_parts.h"
#include "stamp/pipelines/svg.h"

namespace stamp::report {
namespace {

constexpr double kWidth = 440, kLeft = 138, kRight = 372, kTop = 34, kRowHeight = 24;
constexpr double kLogRatio = 30;  // ranges wider than this are drawn on a logarithmic axis

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = 0;
  void add(double value) {
    if (!std::isfinite(value) || value <= 0) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

struct Panel {
  Svg svg;
  Axis axis;
  double bottom;
  double x(double value) const { return axis.place(value, kLeft, kRight); }
};

/// Frame, ticks and row labels; the rows themselves are drawn by the caller.
Panel make_panel(const Comparison& comparison, const std::string& name, const FeatureGroup& group,
                 const Axis& axis, const std::string& unit) {
  const double bottom = kTop + kRowHeight * static_cast<double>(group.rows.size());
  const std::string title = name + ", " + feature_name(group.feature);
  Panel panel{Svg(kWidth, bottom + 42, unit + " at " + title), axis, bottom};
  panel.svg.text(0, 16, title, "title");
  for (const Tick& tick : axis.ticks) {
    panel.svg.line(panel.x(tick.value), kTop, panel.x(tick.value), bottom, "grid");
    panel.svg.text(panel.x(tick.value), bottom + 15, tick.label, "tick middle");
  }
  panel.svg.line(kLeft, bottom, kRight, bottom, "axis");
  panel.svg.text((kLeft + kRight) / 2, bottom + 34, unit, "unit middle");
  for (size_t i = 0; i < group.rows.size(); ++i) {
    const double y = kTop + kRowHeight * (static_cast<double>(i) + 0.5);
    panel.svg.text(kLeft - 8, y + 4, row_label(comparison, *group.rows[i]), "end");
  }
  return panel;
}

std::string divergence_panel(const Comparison& comparison, const std::string& name,
                             const FeatureGroup& group, const Axis& axis) {
  Panel panel = make_panel(comparison, name, group, axis,
                           axis.logarithmic ? "KL divergence, nats per token (log scale)"
                                            : "KL divergence, nats per token");
  for (size_t i = 0; i < group.rows.size(); ++i) {
    const CompareRow& row = *group.rows[i];
    const double y = kTop + kRowHeight * static_cast<double>(i);
    const double end = panel.x(row.scores.kl_mean);
    const std::string value = divergence_text(row.scores.kl_mean);
    panel.svg.rect(kLeft, y + 5, end - kLeft, kRowHeight - 10, "bar " + row_colour(row),
                   row_label(comparison, row) + ": " + value);
    panel.svg.text((std::isfinite(end) ? end : kLeft) + 6, y + 16, value, "value");
  }
  return panel.svg.finish();
}

void draw_interval(Panel& panel, const CompareRow& row, double y) {
  if (row.nll_low == 0 && row.nll_high == 0) return;
  const auto shifted = [&](double nll) {
    return panel.x(row.scores.perplexity * std::exp(nll - row.nll_difference));
  };
  const std::string colour = row_colour(row);
  for (double end : {shifted(row.nll_low), shifted(row.nll_high)}) {
    panel.svg.line(end, y - 4, end, y + 4, "stroke " + colour);
  }
  panel.svg.line(shifted(row.nll_low), y, shifted(row.nll_high), y, "stroke " + colour);
}

std::string perplexity_panel(const Comparison& comparison, const std::string& name,
                             const FeatureGroup& group, const Axis& axis) {
  Panel panel = make_panel(comparison, name, group, axis,
                           axis.logarithmic ? "perplexity (log scale)" : "perplexity");
  const double reference = panel.x(comparison.perplexity_reference);
  panel.svg.line(reference, kTop - 4, reference, panel.bottom, "reference");
  for (size_t i = 0; i < group.rows.size(); ++i) {
    const CompareRow& row = *group.rows[i];
    const double y = kTop + kRowHeight * (static_cast<double>(i) + 0.5);
    const std::string value = perplexity_text(row.scores.perplexity);
    draw_interval(panel, row, y);
    panel.svg.marker(plan_index(comparison, row), panel.x(row.scores.perplexity), y, 5,
                     "dot " + row_colour(row), row_label(comparison, row) + ": " + value);
    panel.svg.text(kWidth, y + 4, value, "value end");
  }
  return panel.svg.finish();
}

using DrawPanel = std::string (*)(const Comparison&, const std::string&, const FeatureGroup&,
                                  const Axis&);

/// Panels of one bit width share their axis.
std::string panels(const Comparison& comparison, const std::function<Axis(const WidthGroup&)>& axis,
                   DrawPanel draw) {
  std::string html;
  for (const WidthGroup& width : group_rows(comparison)) {
    html += "<div class=\"panels\">\n";
    for (const FeatureGroup& group : width.features) {
      html += draw(comparison, width.name, group, axis(width));
    }
    html += "</div>\n";
  }
  return html;
}

template <class Add>
void for_rows(const WidthGroup& width, const Add& add) {
  for (const FeatureGroup& group : width.features) {
    for (const CompareRow* row : group.rows) add(*row);
  }
}

Axis divergence_axis(const WidthGroup& width) {
  Range range;
  for_rows(width, [&](const CompareRow& row) { range.add(row.scores.kl_mean); });
  if (range.high > kLogRatio * range.low) return log_axis(range.low / 2, range.high);
  return linear_axis(0, range.high, 4);
}

Axis perplexity_axis(const WidthGroup& width, double reference) {
  Range range;
  range.add(reference);
  for_rows(width, [&](const CompareRow& row) {
    const double perplexity = row.scores.perplexity;
    range.add(perplexity);
    range.add(perplexity * std::exp(row.nll_low - row.nll_difference));
    range.add(perplexity * std::exp(row.nll_high - row.nll_difference));
  });
  if (range.high > kLogRatio * range.low) return log_axis(range.low, range.high);
  return linear_axis(range.high > 0 ? range.low : 0, range.high, 4);
}

}  // namespace

std::string divergence_figure(const Comparison& comparison) {
  if (comparison.rows.empty()) return "";
  return figure(
      "kl", "KL divergence from the unquantized model", sequence_legend(comparison.rows),
      panels(comparison, divergence_axis, divergence_panel),
      "Shorter is better. Bars of one bit width share an axis, so that panels side by side "
      "compare feature transforms.");
}

std::string perplexity_figure(const Comparison& comparison) {
  if (comparison.rows.empty()) return "";
  const double reference = comparison.perplexity_reference;
  const auto axis = [&](const WidthGroup& width) { return perplexity_axis(width, reference); };
  return figure("perplexity", "Perplexity",
                sequence_legend(comparison.rows) + "<span class=\"key line dashed\">unquantized, " +
                    perplexity_text(reference) + "</span>\n",
                panels(comparison, axis, perplexity_panel),
                "The nearer to the dashed line the better. Whiskers: 95 % interval of the paired "
                "difference to the group&#39;s baseline.");
}

}  // namespace stamp::report
