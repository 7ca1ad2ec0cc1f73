// Signal to quantization noise of every linear layer: one panel per kind of linear, layers along x.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include "stamp/pipelines/report_parts.h"
#include "stamp/pipelines/svg.h"

namespace stamp::report {
namespace {

constexpr double kWidth = 300, kHeight = 190, kLeft = 40, kRight = 292, kTop = 28, kBottom = 150;

/// "layers.3.self_attn.q_proj" is layer 3 of "q_proj"; other names are one kind, counted through.
struct Place {
  std::string kind = "linear";
  int layer = -1;
};

Place place_of(const std::string& name) {
  const size_t start = name.find("layers.");
  if (start == std::string::npos) return {};
  Place place;
  const char* digits = name.data() + start + 7;
  const auto [end, error] = std::from_chars(digits, name.data() + name.size(), place.layer);
  if (error != std::errc() || end == digits) return {};
  place.kind = name.substr(name.rfind('.') + 1);
  return place;
}

/// Too many series hide each other: the protected baseline, and of every transform the row with the
/// smallest KL.
FeatureGroup shown(const FeatureGroup& group) {
  FeatureGroup result{group.feature, {}};
  for (const CompareRow* row : group.rows) {
    if (row->linears.empty() || is_unprotected(*row)) continue;
    const auto same =
        std::find_if(result.rows.begin(), result.rows.end(),
                     [&](const CompareRow* other) { return other->sequence == row->sequence; });
    if (same == result.rows.end()) {
      result.rows.push_back(row);
    } else if (!is_baseline(*row) && row->scores.kl_mean < (*same)->scores.kl_mean) {
      *same = row;
    }
  }
  return result;
}

struct Panel {
  std::string kind;
  /// For each row its values (layer, dB).
  std::vector<std::vector<std::pair<int, double>>> series;
};

std::vector<Panel> make_panels(const FeatureGroup& group) {
  std::vector<Panel> panels;
  for (size_t r = 0; r < group.rows.size(); ++r) {
    int counter = 0;
    for (const LinearSqnr& linear : group.rows[r]->linears) {
      const Place place = place_of(linear.linear);
      auto panel = std::find_if(panels.begin(), panels.end(),
                                [&](const Panel& p) { return p.kind == place.kind; });
      if (panel == panels.end()) {
        panel = panels.insert(panels.end(), {place.kind, {}});
        panel->series.resize(group.rows.size());
      }
      panel->series[r].emplace_back(place.layer >= 0 ? place.layer : counter++, linear.db);
    }
  }
  return panels;
}

struct Axes {
  Axis layer, db;
};

Axes make_axes(const WidthGroup& width) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  int layers = 1;
  for (const FeatureGroup& group : width.features) {
    for (const Panel& panel : make_panels(group)) {
      for (const auto& series : panel.series) {
        for (const auto& [layer, db] : series) {
          layers = std::max(layers, layer);
          if (!std::isfinite(db)) continue;
          low = std::min(low, db);
          high = std::max(high, db);
        }
      }
    }
  }
  Axis layer = linear_axis(0, layers, 6);
  std::erase_if(layer.ticks, [](const Tick& tick) { return tick.value != std::floor(tick.value); });
  return {layer, linear_axis(low, high, 4)};
}

std::string draw_panel(const Comparison& comparison, const FeatureGroup& group, const Panel& panel,
                       const Axes& axes) {
  Svg svg(kWidth, kHeight, "SQNR of " + panel.kind + ", " + feature_name(group.feature));
  svg.text(0, 15, panel.kind, "title");
  for (const Tick& tick : axes.db.ticks) {
    const double y = axes.db.place(tick.value, kBottom, kTop);
    svg.line(kLeft, y, kRight, y, "grid");
    svg.text(kLeft - 6, y + 4, tick.label, "tick end");
  }
  const auto x = [&](double layer) { return axes.layer.place(layer, kLeft + 8, kRight - 8); };
  for (const Tick& tick : axes.layer.ticks) {
    svg.text(x(tick.value), kBottom + 16, tick.label, "tick middle");
  }
  svg.line(kLeft, kBottom, kRight, kBottom, "axis");
  svg.text((kLeft + kRight) / 2, kBottom + 34, "layer", "unit middle");
  svg.text(10, (kTop + kBottom) / 2, "SQNR, dB", "unit middle turn");
  for (size_t r = 0; r < panel.series.size(); ++r) {
    const std::string colour = row_colour(*group.rows[r]);
    std::vector<std::pair<double, double>> points;
    for (const auto& [layer, db] : panel.series[r]) {
      points.emplace_back(x(layer), std::isfinite(db) ? axes.db.place(db, kBottom, kTop) : db);
    }
    svg.path(points, "curve thin " + colour);
    for (size_t i = 0; i < points.size(); ++i) {
      svg.marker(plan_index(comparison, *group.rows[r]), points[i].first, points[i].second, 2.8,
                 "dot " + colour,
                 row_label(comparison, *group.rows[r]) + ": " +
                     number(panel.series[r][i].second, 1) + " dB");
    }
  }
  return svg.finish();
}

/// Colour and shape of every series.
std::string series_legend(const Comparison& comparison, const WidthGroup& width) {
  std::string legend;
  std::set<std::string> seen;
  for (const FeatureGroup& group : width.features) {
    for (const CompareRow* row : group.rows) {
      const std::string label = row_label(comparison, *row);
      if (!seen.insert(label).second) continue;
      Svg symbol(12, 12, label);
      symbol.marker(plan_index(comparison, *row), 6, 6, 4.2, "dot " + row_colour(*row));
      legend += "<span class=\"mark\">" + symbol.finish() + escape(label) + "</span>\n";
    }
  }
  return legend;
}

/// The middle one of the bit widths that have anything to show; without features if none has.
WidthGroup middle_width(const Comparison& comparison) {
  std::vector<WidthGroup> useful;
  for (WidthGroup& width : group_rows(comparison)) {
    for (FeatureGroup& group : width.features) group = shown(group);
    std::erase_if(width.features, [](const FeatureGroup& group) { return group.rows.empty(); });
    if (!width.features.empty()) useful.push_back(width);
  }
  return useful.empty() ? WidthGroup{} : useful[useful.size() / 2];
}

}  // namespace

std::string sqnr_figure(const Comparison& comparison) {
  const WidthGroup width = middle_width(comparison);
  if (width.features.empty()) return "";
  const Axes axes = make_axes(width);
  std::string drawings;
  for (const FeatureGroup& group : width.features) {
    drawings += "<h3>" + escape(width.name + ", " + feature_name(group.feature)) +
                "</h3>\n<div class=\"panels small\">\n";
    for (const Panel& panel : make_panels(group)) {
      drawings += draw_panel(comparison, group, panel, axes);
    }
    drawings += "</div>\n";
  }
  return figure("sqnr", "Signal to quantization noise of every linear layer",
                series_legend(comparison, width), drawings,
                "Higher is better; 6 dB are worth one bit. Of every transform the plan with the "
                "smallest KL. Output of each linear for the same input, "
                "against its unquantized output.");
}

}  // namespace stamp::report
