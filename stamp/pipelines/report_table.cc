// The table of results.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "stamp/pipelines/report_parts.h"
#include "stamp/pipelines/svg.h"

namespace stamp::report {
namespace {

struct Column {
  const char* title;
  const char* hint;
  double (*value)(const CompareRow&);
  std::string (*show)(double);
  int better;  // -1: small values are good, 1: large ones
};

const Column kColumns[] = {
    {"Perplexity", "exp of the mean negative log-likelihood",
     [](const CompareRow& r) { return r.scores.perplexity; }, perplexity_text, -1},
    {"KL mean", "KL(unquantized || quantized), nats per token",
     [](const CompareRow& r) { return r.scores.kl_mean; }, divergence_text, -1},
    {"KL 99 %", "99th percentile over tokens", [](const CompareRow& r) { return r.scores.kl_99; },
     divergence_text, -1},
    {"Top-1", "tokens whose most likely successor is unchanged",
     [](const CompareRow& r) { return r.scores.top1_agreement; },
     [](double v) { return percent(v, 1); }, 1},
    {"Gap closed PPL", "share of the perplexity lost by the baseline that is won back",
     [](const CompareRow& r) { return r.gap_closed_perplexity; },
     [](double v) { return percent(v); }, 1},
    {"Gap closed KL", "share of the baseline's KL that is gone",
     [](const CompareRow& r) { return r.gap_closed_kl; }, [](double v) { return percent(v); }, 1},
    {"Causal gap KL", "gap closed in KL over tokens that close a transform run: exactly causal",
     [](const CompareRow& r) { return r.causal_gap_closed_kl; },
     [](double v) { return percent(v); }, 1},
};

double best_value(const FeatureGroup& group, const Column& column) {
  double best = -std::numeric_limits<double>::infinity();
  for (const CompareRow* row : group.rows) {
    const double value = column.better * column.value(*row);
    if (std::isfinite(value)) best = std::max(best, value);
  }
  return column.better * best;
}

std::string cell(const std::string& content, bool best = false) {
  return best ? "<td><b>" + content + "</b></td>" : "<td>" + content + "</td>";
}

/// Activations, and the cache behind a slash when it is quantized too.
std::string bits(double activation, double kv, const CompareRow& row) {
  if (row.kv_bits >= 16) return number(activation, 3);
  if (row.activation_bits >= 16) return "KV " + number(kv, 3);
  if (number(activation, 3) == number(kv, 3)) return number(kv, 3);
  return number(activation, 3) + " / " + number(kv, 3);
}

std::string difference(const CompareRow& row) {
  if (std::isnan(row.gap_closed_perplexity) && row.nll_difference == 0) return cell("–");
  return cell(number(row.nll_difference, 4) + " <small>[" + number(row.nll_low, 4) + ", " +
              number(row.nll_high, 4) + "]</small>");
}

std::string table_row(const FeatureGroup& group, const CompareRow& row) {
  const std::string sequence = row.sequence == "none" ? "no L" : row.sequence;
  std::string html = fmt::format(
      "<tr><th scope=\"row\"><span class=\"key {}\">{}</span></th><td class=\"word\">{}</td>",
      row_colour(row), escape(sequence), escape(row.plan));
  html += cell(bits(row.bits.activations, row.bits.kv, row));
  html += cell(bits(row.bits.activations_with_scales, row.bits.kv_with_scales, row));
  for (const Column& column : kColumns) {
    const double value = column.value(row);
    const bool best = group.rows.size() > 1 && value == best_value(group, column);
    html += cell(column.show(value), best);
  }
  return html + difference(row) + "</tr>\n";
}

std::string head() {
  std::string html =
      "<thead><tr><th scope=\"col\">Sequence</th><th scope=\"col\" class=\"word\">Bit plan</th>"
      "<th scope=\"col\" title=\"codes only; activations / KV cache\">Data bits</th>"
      "<th scope=\"col\" title=\"codes, scales and zero points\">Bits incl. scales</th>";
  for (const Column& column : kColumns) {
    html +=
        fmt::format("<th scope=\"col\" title=\"{}\">{}</th>", escape(column.hint), column.title);
  }
  return html +
         "<th scope=\"col\" title=\"nats per token, row minus its baseline\">ΔNLL to baseline "
         "[95 %]</th></tr></thead>\n";
}

}  // namespace

std::string results_table(const Comparison& comparison) {
  if (comparison.rows.empty()) return "<p>No row was measured.</p>\n";
  std::string html =
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Results\"><table>\n" +
      head();
  html +=
      "<tbody><tr class=\"plain\"><th scope=\"row\">unquantized</th><td></td><td></td><td></td>" +
      cell(perplexity_text(comparison.perplexity_reference)) + cell("0") + cell("0") +
      cell("100 %") + "<td></td><td></td><td></td><td></td></tr></tbody>\n";
  for (const WidthGroup& width : group_rows(comparison)) {
    for (const FeatureGroup& group : width.features) {
      html += fmt::format(
          "<tbody><tr class=\"group\"><th colspan=\"12\" scope=\"rowgroup\"><span>{} "
          "<i>{}</i></span></th></tr>\n",
          width.name, escape(feature_name(group.feature)));
      for (const CompareRow* row : group.rows) html += table_row(group, *row);
      html += "</tbody>\n";
    }
  }
  return html + "</table></div>\n";
}

}  // namespace stamp::report
