// Ablations as text, JSON and curves.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "stamp/pipelines/ablations.h"
#include "stamp/pipelines/report_parts.h"
#include "stamp/pipelines/svg.h"

namespace stamp {
namespace {

using report::Axis;
using report::Svg;

constexpr double kWidth = 500, kHeight = 270, kLeft = 58, kRight = 488, kTop = 18, kBottom = 218;

/// Labels of all series, in the order of the longest.
std::vector<std::string> labels_of(const Ablation& ablation) {
  std::vector<std::string> labels;
  for (const AblationSeries& series : ablation.series) {
    if (series.points.size() <= labels.size()) continue;
    labels.clear();
    for (const AblationPoint& point : series.points) labels.push_back(point.label);
  }
  return labels;
}

const AblationPoint* find_point(const AblationSeries& series, const std::string& label) {
  for (const AblationPoint& point : series.points)
    if (point.label == label) return &point;
  return nullptr;
}

std::string colour_of(const AblationSeries& series) {
  const std::string transform = series.name.substr(0, series.name.find(','));
  return report::colour_class(transform == "no L" ? "none" : transform);
}
bool dashed(const AblationSeries& series) {
  return series.name.find("waterfill") != std::string::npos;
}

Axis value_axis(const Ablation& ablation) {
  double low = std::numeric_limits<double>::infinity(), high = 0;
  for (const AblationSeries& series : ablation.series)
    for (const AblationPoint& point : series.points) {
      const double value = ablation.timed ? point.milliseconds : point.kl;
      if (!(value > 0)) continue;
      low = std::min({low, value, !ablation.timed && point.kl_low > 0 ? point.kl_low : value});
      high = std::max({high, value, ablation.timed ? value : point.kl_high});
    }
  if (ablation.timed || high < 8 * low) return report::linear_axis(0, high);
  return report::log_axis(low, high);
}

/// One drawing: labels evenly spaced, a curve per series with its intervals.
std::string draw(const Ablation& ablation) {
  const std::vector<std::string> labels = labels_of(ablation);
  const Axis axis = value_axis(ablation);
  Svg svg(kWidth, kHeight, ablation.title);
  const auto y = [&](double value) { return axis.place(value, kBottom, kTop); };
  const double step = (kRight - kLeft) / static_cast<double>(std::max<size_t>(1, labels.size()));
  const auto x = [&](size_t i) { return kLeft + step * (static_cast<double>(i) + 0.5); };
  for (const report::Tick& tick : axis.ticks) {
    svg.line(kLeft, y(tick.value), kRight, y(tick.value), "grid");
    svg.text(kLeft - 7, y(tick.value) + 4, tick.label, "tick end");
  }
  svg.line(kLeft, kBottom, kRight, kBottom, "axis");
  for (size_t i = 0; i < labels.size(); ++i) svg.text(x(i), kBottom + 17, labels[i], "tick middle");
  svg.text((kLeft + kRight) / 2, kBottom + 38, ablation.axis, "unit middle");
  const std::string unit = ablation.timed ? "milliseconds" : "KL divergence, nats per token";
  svg.text(11, (kTop + kBottom) / 2, axis.logarithmic ? unit + " (log)" : unit, "unit middle turn");
  for (const AblationSeries& series : ablation.series) {
    const std::string colour = colour_of(series);
    std::vector<std::pair<double, double>> curve;
    for (size_t i = 0; i < labels.size(); ++i) {
      const AblationPoint* point = find_point(series, labels[i]);
      if (point == nullptr) continue;
      if (ablation.timed) {
        svg.rect(x(i) - step * 0.32, y(point->milliseconds), step * 0.64,
                 kBottom - y(point->milliseconds), "bar k-haar");
        svg.text(x(i), y(point->milliseconds) - 5, report::short_number(point->milliseconds),
                 "value middle");
        continue;
      }
      curve.emplace_back(x(i), y(point->kl));
      svg.line(x(i), y(point->kl_low), x(i), y(point->kl_high), "stroke " + colour);
    }
    svg.path(curve, "curve " + colour + (dashed(series) ? " dashed" : ""));
    for (size_t i = 0; i < labels.size() && !ablation.timed; ++i)
      if (const AblationPoint* point = find_point(series, labels[i]))
        svg.marker(dashed(series) ? 1 : 0, x(i), y(point->kl), 3.6, "dot " + colour,
                   fmt::format("{}, {} {}: KL {} at {} bits, perplexity {}", series.name,
                               ablation.axis, point->label, report::divergence_text(point->kl),
                               report::number(point->bits, 3),
                               report::perplexity_text(point->perplexity)));
  }
  return svg.finish();
}

std::string legend_of(const Ablation& ablation) {
  std::string legend;
  if (ablation.timed) return legend;
  for (const AblationSeries& series : ablation.series)
    legend += fmt::format("<span class=\"key line {}{}\">{}</span>\n", colour_of(series),
                          dashed(series) ? " dashed" : "", report::escape(series.name));
  return legend;
}

std::string intro(const AblationReport& r) {
  return fmt::format(
      "<h1>STaMP on {}, one setting at a time</h1>\n{}<p class=\"lead\">Inputs of linears at {} "
      "bits, feature transform {}, weights and K/V unquantized unless a figure says otherwise; "
      "unquantized perplexity {}.</p>\n<p>{}, windows of {} tokens, {} tokens for every point; "
      "bars through the points are bootstrap 95 % intervals over windows.</p>\n",
      report::escape(r.model_name),
      r.partial ? "<p class=\"banner\" role=\"status\"><b>Partial result.</b></p>\n" : "",
      r.options.bits, report::escape(r.options.feature),
      report::perplexity_text(r.perplexity_reference), report::escape(r.text_name),
      r.options.context, r.options.max_windows * r.options.context);
}

}  // namespace

std::string to_text(const AblationReport& report) {
  std::string text;
  for (const Ablation& ablation : report.ablations) {
    text += fmt::format("{} ({})\n{:>20}", ablation.title,
                        ablation.timed ? "milliseconds" : "KL / data bits", ablation.axis);
    for (const AblationSeries& series : ablation.series) text += fmt::format("{:>20}", series.name);
    text += '\n';
    for (const std::string& label : labels_of(ablation)) {
      text += fmt::format("{:>20}", label);
      for (const AblationSeries& series : ablation.series) {
        const AblationPoint* point = find_point(series, label);
        text += fmt::format("{:>20}", !point ? "-"
                                      : ablation.timed
                                          ? fmt::format("{:.1f}", point->milliseconds)
                                          : fmt::format("{:.5f} / {:.3f}", point->kl, point->bits));
      }
      text += '\n';
    }
    text += '\n';
  }
  return text + fmt::format("{:.0f} s{}\n", report.seconds,
                            report.partial ? "; PARTIAL: interrupted" : "");
}

Json to_json(const AblationReport& report) {
  Json json = {{"model", report.model_name},
               {"text", report.text_name},
               {"feature", report.options.feature},
               {"bits", report.options.bits},
               {"windows", report.options.max_windows},
               {"context", report.options.context},
               {"perplexity_reference", report.perplexity_reference},
               {"machine", report.machine},
               {"commit", report.commit},
               {"seconds", report.seconds},
               {"partial", report.partial},
               {"ablations", Json::array()}};
  for (const Ablation& ablation : report.ablations) {
    Json entry = {{"id", ablation.id}, {"axis", ablation.axis}, {"series", Json::array()}};
    for (const AblationSeries& series : ablation.series) {
      Json points = Json::array();
      for (const AblationPoint& p : series.points)
        points.push_back(ablation.timed ? Json{{"label", p.label}, {"milliseconds", p.milliseconds}}
                                        : Json{{"label", p.label},
                                               {"bits", p.bits},
                                               {"kl", p.kl},
                                               {"kl_interval", {p.kl_low, p.kl_high}},
                                               {"perplexity", p.perplexity}});
      entry["series"].push_back({{"name", series.name}, {"points", points}});
    }
    json["ablations"].push_back(std::move(entry));
  }
  return json;
}

std::string to_html(const AblationReport& r) {
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
      report::escape("STaMP ablations: " + r.model_name) + "</title>\n<style>" + report::kStyle +
      "</style>\n</head>\n<body>\n<main>\n" + intro(r);
  for (const Ablation& ablation : r.ablations)
    html +=
        report::figure(ablation.id, report::escape(ablation.title), legend_of(ablation),
                       "<div class=\"panels\">" + draw(ablation) + "</div>\n", ablation.caption);
  return html + fmt::format(
                    "<footer>{} · commit {} · {} s · written by <code>stamp compare "
                    "--preset ablations</code></footer>\n</main>\n</body>\n</html>\n",
                    report::escape(r.machine), report::escape(r.commit),
                    report::number(r.seconds, 0));
}

}  // namespace stamp
