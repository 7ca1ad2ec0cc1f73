#include "stamp/pipelines/svg.h"

#include <fmt/format.h>

#include <cmath>

namespace stamp::report {
namespace {

constexpr double kLargest =
    1.18;  // drawings grow with the page up to this, so that text keeps its size

bool all_finite(std::initializer_list<double> values) {
  for (double value : values) {
    if (!std::isfinite(value)) return false;
  }
  return true;
}

std::string closed(std::string_view tag, std::string_view tooltip) {
  if (tooltip.empty()) return "/>\n";
  return fmt::format("><title>{}</title></{}>\n", escape(tooltip), tag);
}

std::string polygon(int shape, double x, double y, double r) {
  const auto c = coordinate;
  if (shape == 1)
    return fmt::format("M{} {}h{}v{}h{}z", c(x - r), c(y - r), c(2 * r), c(2 * r), c(-2 * r));
  if (shape == 2) return fmt::format("M{} {}l{} {}h{}z", c(x), c(y - r), c(r), c(2 * r), c(-2 * r));
  return fmt::format("M{} {}l{} {}l{} {}l{} {}z", c(x), c(y - 1.3 * r), c(1.3 * r), c(1.3 * r),
                     c(-1.3 * r), c(1.3 * r), c(-1.3 * r), c(-1.3 * r));
}

}  // namespace

std::string coordinate(double value) {
  std::string text = fmt::format("{:.2f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

Svg::Svg(double width, double height, std::string_view title)
    : width_(width), height_(height), title_(escape(title)) {}

void Svg::rect(double x, double y, double width, double height, std::string_view classes,
               std::string_view tooltip) {
  if (!all_finite({x, y, width, height}) || width < 0 || height < 0) return;
  body_ += fmt::format(R"(<rect class="{}" x="{}" y="{}" width="{}" height="{}")", classes,
                       coordinate(x), coordinate(y), coordinate(width), coordinate(height));
  body_ += closed("rect", tooltip);
}

void Svg::line(double x1, double y1, double x2, double y2, std::string_view classes) {
  if (!all_finite({x1, y1, x2, y2})) return;
  body_ += fmt::format(R"(<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>)", classes,
                       coordinate(x1), coordinate(y1), coordinate(x2), coordinate(y2));
  body_ += '\n';
}

void Svg::marker(int shape, double x, double y, double radius, std::string_view classes,
                 std::string_view tooltip) {
  if (!all_finite({x, y, radius})) return;
  if (shape % 4 == 0) {
    body_ += fmt::format(R"(<circle class="{}" cx="{}" cy="{}" r="{}")", classes, coordinate(x),
                         coordinate(y), coordinate(radius));
    body_ += closed("circle", tooltip);
    return;
  }
  body_ += fmt::format(R"(<path class="{}" d="{}")", classes, polygon(shape % 4, x, y, radius));
  body_ += closed("path", tooltip);
}

void Svg::path(const std::vector<std::pair<double, double>>& points, std::string_view classes) {
  std::string d;
  bool drawing = false;
  for (const auto& [x, y] : points) {
    const bool finite = all_finite({x, y});
    if (finite) d += fmt::format("{}{} {}", drawing ? 'L' : 'M', coordinate(x), coordinate(y));
    drawing = finite;
  }
  if (!d.empty()) body_ += fmt::format("<path class=\"{}\" d=\"{}\"/>\n", classes, d);
}

void Svg::text(double x, double y, std::string_view content, std::string_view classes) {
  if (!all_finite({x, y})) return;
  const bool turned = classes.find("turn") != std::string_view::npos;
  const std::string place = coordinate(x) + " " + coordinate(y);
  body_ += fmt::format(R"(<text class="{}" transform="translate({}){}">{}</text>)", classes, place,
                       turned ? " rotate(-90)" : "", escape(content));
  body_ += '\n';
}

std::string Svg::finish() const {
  return fmt::format(
      "<svg role=\"img\" aria-label=\"{0}\" style=\"max-width:{4}px\" viewBox=\"0 0 {1} {2}\" "
      "xmlns=\"http://www.w3.org/2000/svg\">"
      "<title>{0}</title>\n{3}</svg>\n",
      title_, coordinate(width_), coordinate(height_), body_, coordinate(kLargest * width_));
}

}  // namespace stamp::report
