#pragma once
// Text, numbers, axes and shapes of the HTML report.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stamp::report {

/// Text as HTML or SVG content or attribute value: & < > " ' are escaped, control characters become
/// U+FFFD.
std::string escape(std::string_view text);
/// Fixed decimals with a real minus sign; an en dash for NaN, the infinity sign for infinities.
std::string number(double value, int decimals);
/// As many decimals as `digits` significant digits need (at most five); huge and tiny values as
/// powers of ten.
std::string short_number(double value, int digits = 3);
/// A perplexity, to four significant digits.
std::string perplexity_text(double value);
/// A divergence, to four decimals so that columns line up; very small ones to three digits.
std::string divergence_text(double value);
/// "42 %" of 0.42.
std::string percent(double share, int decimals = 0);

struct Tick {
  double value = 0;
  std::string label;
};

/// A linear or logarithmic scale with round ticks.
struct Axis {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::vector<Tick> ticks;
  /// Position of `value` when `low` is drawn at `from` and `high` at `to`; values outside are
  /// clamped.
  double place(double value, double from, double to) const;
};

/// Covers [low, high] with about `ticks` round steps; the ends are ticks. Not finite or empty
/// ranges are mended.
Axis linear_axis(double low, double high, int ticks = 5);
/// Covers [low, high], both > 0, from decade to decade (1-2-5 steps when the range is short).
Axis log_axis(double low, double high);

/// One drawing. Shapes with coordinates that are not finite are left out. Colours come from the
/// classes.
class Svg {
 public:
  /// `title` is what a screen reader says.
  Svg(double width, double height, std::string_view title);
  void rect(double x, double y, double width, double height, std::string_view classes,
            std::string_view tooltip = "");
  void line(double x1, double y1, double x2, double y2, std::string_view classes);
  /// A small symbol: 0 circle, 1 square, 2 triangle, 3 diamond, then again.
  void marker(int shape, double x, double y, double radius, std::string_view classes,
              std::string_view tooltip = "");
  /// A polyline; points that are not finite interrupt it.
  void path(const std::vector<std::pair<double, double>>& points, std::string_view classes);
  /// `classes`: "end" and "middle" anchor the text there, "turn" turns it upwards.
  void text(double x, double y, std::string_view content, std::string_view classes = "");
  void raw(std::string_view markup) { body_ += markup; }
  std::string finish() const;

 private:
  double width_, height_;
  std::string title_, body_;
};

/// A coordinate with at most two decimals.
std::string coordinate(double value);

}  // namespace stamp::report
