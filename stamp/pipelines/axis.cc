// Numbers as text and round axis ticks (svg.h).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "stamp/pipelines/svg.h"

namespace stamp::report {
namespace {

constexpr std::string_view kDash = "–", kMinus = "−";

std::string with_minus(std::string text) {
  if (!text.starts_with('-')) return text;
  if (text.find_first_of("123456789") == std::string::npos) return text.substr(1);
  return std::string(kMinus) + text.substr(1);
}

std::string superscript(int exponent) {
  static constexpr std::string_view kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text = exponent < 0 ? "⁻" : "";
  for (char digit : std::to_string(std::abs(exponent))) text += kDigits[digit - '0'];
  return text;
}

/// `factor` is 1, 2 or 5.
std::string log_label(int factor, int exponent) {
  if (exponent >= -3 && exponent <= 3) {
    return fmt::format("{:.{}f}", factor * std::pow(10.0, exponent), std::max(0, -exponent));
  }
  return (factor == 1 ? "" : fmt::format("{}·", factor)) + "10" + superscript(exponent);
}

double round_step(double rough) {
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double ratio = rough / power;
  return power * (ratio <= 1.0 ? 1 : ratio <= 2.0 ? 2 : ratio <= 5.0 ? 5 : 10);
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          out += "�";
        } else {
          out += c;
        }
    }
  }
  return out;
}

std::string number(double value, int decimals) {
  if (std::isnan(value)) return std::string(kDash);
  if (std::isinf(value)) return value > 0 ? "∞" : std::string(kMinus) + "∞";
  return with_minus(fmt::format("{:.{}f}", value, decimals));
}

std::string short_number(double value, int digits) {
  if (!std::isfinite(value) || value == 0) return number(value, 0);
  const int exponent = static_cast<int>(std::floor(std::log10(std::abs(value))));
  if (exponent < -4 || exponent > 5) {
    return with_minus(fmt::format("{:.1f}·10", value / std::pow(10.0, exponent))) +
           superscript(exponent);
  }
  return number(value, std::clamp(digits - 1 - exponent, 0, 5));
}

std::string perplexity_text(double value) { return short_number(value, 4); }

std::string divergence_text(double value) {
  return value != 0 && std::abs(value) < 1e-3 ? short_number(value) : number(value, 4);
}

std::string percent(double share, int decimals) {
  return std::isfinite(share) ? number(100 * share, decimals) + " %" : number(share, 0);
}

double Axis::place(double value, double from, double to) const {
  const auto map = [this](double v) { return logarithmic ? std::log10(v) : v; };
  if (std::isnan(value) || (logarithmic && value <= 0)) return std::nan("");
  const double share = (map(std::clamp(value, low, high)) - map(low)) / (map(high) - map(low));
  return from + share * (to - from);
}

Axis linear_axis(double low, double high, int ticks) {
  if (!std::isfinite(low)) low = 0;
  // A range as narrow as rounding noise would count its ticks for ever.
  if (!std::isfinite(high) || high - low <= 1e-9 * std::abs(low)) {
    high = low + (low == 0 ? 1 : std::abs(low) * 0.1);
  }
  const double step = round_step((high - low) / std::max(1, ticks));
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
  Axis axis{first * step, last * step, false, {}};
  for (double i = first; i <= last; ++i)
    axis.ticks.push_back({i * step, number(i * step, decimals)});
  return axis;
}

Axis log_axis(double low, double high) {
  if (!(low > 0) || !std::isfinite(low)) low = 1e-3;
  if (!(high > low) || !std::isfinite(high)) high = low * 10;
  const bool dense = high / low < 300;
  const int stride = std::max(1, static_cast<int>(std::log10(high / low) / 6));
  std::vector<Tick> all;
  const int first = static_cast<int>(std::floor(std::log10(low))) - 1;
  const int last = static_cast<int>(std::ceil(std::log10(high))) + stride;
  for (int exponent = first; exponent <= last; exponent += dense ? 1 : stride) {
    for (int factor : {1, 2, 5}) {
      if (factor > 1 && !dense) break;
      all.push_back({factor * std::pow(10.0, exponent), log_label(factor, exponent)});
    }
  }
  const auto above = [&](double bound) {
    return std::find_if(all.begin(), all.end(),
                        [&](const Tick& t) { return t.value * (1 + 1e-9) >= bound; });
  };
  auto begin = above(low), end = above(high);
  if (begin != all.begin() && begin->value > low * (1 + 1e-9)) --begin;
  if (end != all.end()) ++end;
  Axis axis{begin->value, (end - 1)->value, true, {begin, end}};
  return axis;
}

}  // namespace stamp::report
