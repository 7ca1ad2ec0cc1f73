// Sensitivities as text, JSON and a heat map.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "stamp/pipelines/report_parts.h"
#include "stamp/pipelines/sensitivity.h"
#include "stamp/pipelines/svg.h"

namespace stamp {
namespace {

/// Kinds in the order of the forward pass, those of weights last.
std::vector<std::string> kinds_of(const Sensitivity& sensitivity) {
  std::vector<std::string> kinds;
  for (const char* kind : {"attn_in", "k", "v", "o_in", "mlp_in", "down_in", "attn_in weights",
                           "o_in weights", "mlp_in weights", "down_in weights"})
    if (std::any_of(sensitivity.rows.begin(), sensitivity.rows.end(),
                    [&](const SensitivityRow& row) { return row.kind == kind; }))
      kinds.push_back(kind);
  return kinds;
}

/// What a reader calls it.
std::string label_of(const std::string& kind) {
  static const std::map<std::string, std::string> kLabels = {{"attn_in", "q k v input"},
                                                             {"k", "K"},
                                                             {"v", "V"},
                                                             {"o_in", "o input"},
                                                             {"mlp_in", "gate up input"},
                                                             {"down_in", "down input"},
                                                             {"attn_in weights", "W q k v"},
                                                             {"o_in weights", "W o"},
                                                             {"mlp_in weights", "W gate up"},
                                                             {"down_in weights", "W down"}};
  const auto found = kLabels.find(kind);
  return found == kLabels.end() ? kind : found->second;
}

int64_t layer_count(const Sensitivity& sensitivity) {
  int64_t layers = 0;
  for (const SensitivityRow& row : sensitivity.rows) layers = std::max(layers, row.layer + 1);
  return layers;
}

const SensitivityRow* find_row(const Sensitivity& sensitivity, int64_t layer,
                               const std::string& kind) {
  for (const SensitivityRow& row : sensitivity.rows)
    if (row.layer == layer && row.kind == kind) return &row;
  return nullptr;
}

double column_sum(const Sensitivity& sensitivity, const std::string& kind) {
  double sum = 0;
  for (const SensitivityRow& row : sensitivity.rows)
    if (row.kind == kind) sum += row.kl;
  return sum;
}

std::string milli(double kl) { return report::short_number(1000 * kl, 3); }

constexpr double kCellWidth = 108, kCellHeight = 26, kLeft = 64, kTop = 34;

/// 0 to 9: shades, logarithmic over three decades below the largest.
int shade_of(double kl, double largest) {
  if (!(kl > 0) || !(largest > 0)) return 0;
  return static_cast<int>(std::clamp(9 + 3 * std::log10(kl / largest), 0.0, 9.0));
}

std::string heat_map(const Sensitivity& s) {
  const std::vector<std::string> kinds = kinds_of(s);
  const int64_t layers = layer_count(s);
  double largest = 0;
  for (const SensitivityRow& row : s.rows) largest = std::max(largest, row.kl);
  report::Svg svg(kLeft + kCellWidth * static_cast<double>(kinds.size()),
                  kTop + kCellHeight * static_cast<double>(layers + 1) + 8,
                  "KL divergence of each tensor quantized alone");
  for (size_t k = 0; k < kinds.size(); ++k) {
    const double x = kLeft + kCellWidth * static_cast<double>(k), middle = x + kCellWidth / 2;
    svg.text(middle, kTop - 10, label_of(kinds[k]), "title middle");
    for (int64_t layer = 0; layer < layers; ++layer) {
      const SensitivityRow* row = find_row(s, layer, kinds[k]);
      if (row == nullptr) continue;
      const double y = kTop + kCellHeight * static_cast<double>(layer);
      const int shade = shade_of(row->kl, largest);
      svg.rect(x + 1, y + 1, kCellWidth - 2, kCellHeight - 2, fmt::format("heat h{}", shade),
               fmt::format("layer {}, {}: KL {} [{}, {}] thousandths of a nat at {} bits", layer,
                           label_of(row->kind), milli(row->kl), milli(row->kl_low),
                           milli(row->kl_high), report::number(row->bits, 3)));
      svg.text(middle, y + 17, milli(row->kl), shade >= 9 ? "cell dark middle" : "cell middle");
    }
    svg.text(middle, kTop + kCellHeight * static_cast<double>(layers) + 19,
             milli(column_sum(s, kinds[k])), "title middle");
  }
  for (int64_t layer = 0; layer < layers; ++layer)
    svg.text(kLeft - 10, kTop + kCellHeight * static_cast<double>(layer) + 17,
             fmt::format("layer {}", layer), "tick end");
  svg.text(kLeft - 10, kTop + kCellHeight * static_cast<double>(layers) + 19, "sum", "tick end");
  return svg.finish();
}

/// Cells from the page's background to a strong red, in both themes.
std::string heat_style() {
  std::string css = ".heat{stroke:none} text.cell{font-size:12px} text.cell.dark{fill:#fff}\n";
  for (int shade = 0; shade < 10; ++shade)
    css += fmt::format(".heat.h{}{{fill:hsl({},{}%,{}%)}}\n", shade, 42 - 4 * shade, 70 + 2 * shade,
                       93 - 5.8 * shade);
  return css + "text.cell:not(.dark){fill:#222}\n";
}

}  // namespace

std::string to_text(const Sensitivity& s) {
  const std::vector<std::string> kinds = kinds_of(s);
  std::string text = fmt::format(
      "{}: KL to the unquantized model when one tensor alone is quantized as in '{}', in "
      "thousandths of a nat\n{} windows of {} tokens of {}\n\n{:>6}",
      s.model_name, s.options.recipe.name, s.windows, s.options.context, s.text_name, "layer");
  for (const std::string& kind : kinds) text += fmt::format("{:>15}", label_of(kind));
  text += '\n';
  for (int64_t layer = 0; layer < layer_count(s); ++layer) {
    text += fmt::format("{:>6}", layer);
    for (const std::string& kind : kinds) {
      const SensitivityRow* row = find_row(s, layer, kind);
      text += fmt::format("{:>15}", row ? fmt::format("{:.3f}", 1000 * row->kl) : "-");
    }
    text += '\n';
  }
  text += fmt::format("{:>6}", "sum");
  for (const std::string& kind : kinds)
    text += fmt::format("{:>15.3f}", 1000 * column_sum(s, kind));
  text +=
      fmt::format("\n\nsum of all {:.3f}, everything at once {:.3f}; {:.0f} s{}\n", 1000 * s.kl_sum,
                  1000 * s.kl_everything, s.seconds, s.partial ? "; PARTIAL: interrupted" : "");
  return text;
}

Json to_json(const Sensitivity& s) {
  Json json = {{"model", s.model_name},
               {"text", s.text_name},
               {"recipe", to_json(s.options.recipe)},
               {"context", s.options.context},
               {"windows", s.windows},
               {"kl_sum", s.kl_sum},
               {"kl_everything", s.kl_everything},
               {"machine", s.machine},
               {"commit", s.commit},
               {"seconds", s.seconds},
               {"partial", s.partial},
               {"tensors", Json::array()}};
  for (const SensitivityRow& row : s.rows)
    json["tensors"].push_back({{"layer", row.layer},
                               {"kind", row.kind},
                               {"bits", row.bits},
                               {"kl", row.kl},
                               {"kl_interval", {row.kl_low, row.kl_high}},
                               {"nll_difference", row.nll_difference}});
  return json;
}

std::string to_html(const Sensitivity& s) {
  using report::escape;
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
      escape("Sensitivity: " + s.model_name) + "</title>\n<style>" + report::kStyle + heat_style() +
      "</style>\n</head>\n<body>\n<main>\n<h1>What each tensor of " + escape(s.model_name) +
      " costs when it alone is quantized</h1>\n";
  if (s.partial) html += "<p class=\"banner\" role=\"status\"><b>Partial result.</b></p>\n";
  html += fmt::format(
      "<p class=\"lead\">Recipe <code>{}</code>; KL divergence to the unquantized model in "
      "thousandths of a nat per token, {} windows of {} tokens of {}. Parts add up to {}; "
      "everything "
      "at once costs {}.</p>\n",
      escape(s.options.recipe.name), s.windows, s.options.context, escape(s.text_name),
      milli(s.kl_sum), milli(s.kl_everything));
  html += report::figure(
      "heat", "KL divergence, layer by layer", "",
      "<div class=\"panels\">" + heat_map(s) + "</div>\n",
      "Darker costs more (three shades for a factor of ten). Inputs of linears and K, V as "
      "the recipe quantizes them, W: weights alone. Hover for intervals.");
  return html + fmt::format(
                    "<footer>{} · commit {} · {} s · written by <code>stamp "
                    "sensitivity</code></footer>\n</main>\n</body>\n</html>\n",
                    escape(s.machine), escape(s.commit), report::number(s.seconds, 0));
}

}  // namespace stamp
