// The main finding, computed from the rows.
#include <fmt/format.h>

#include <cmath>

#include "stamp/pipelines/report_parts.h"
#include "stamp/pipelines/svg.h"

namespace stamp::report {
namespace {

/// The transformed row with the smallest KL, or null.
const CompareRow* best_row(const WidthGroup& width) {
  const CompareRow* best = nullptr;
  for (const FeatureGroup& group : width.features) {
    for (const CompareRow* row : group.rows) {
      if (is_baseline(*row) || !std::isfinite(row->scores.kl_mean)) continue;
      if (!best || row->scores.kl_mean < best->scores.kl_mean) best = row;
    }
  }
  return best;
}

/// What the row's bit plan wins back without any transform; empty for the baseline's own plan.
std::string plan_alone(const WidthGroup& width, const CompareRow& row) {
  for (const FeatureGroup& group : width.features) {
    for (const CompareRow* other : group.rows) {
      const bool same = other->feature == row.feature && other->plan == row.plan;
      if (same && is_baseline(*other) && std::isfinite(other->gap_closed_perplexity)) {
        return "; the same plan without L: " + percent(other->gap_closed_perplexity);
      }
    }
  }
  return "";
}

std::string recipe_words(const WidthGroup& width, const CompareRow& row) {
  const std::string feature = row.feature == "none" ? "" : row.feature + " + ";
  return escape(feature + row.sequence + ", " + row.plan) + plan_alone(width, row);
}

std::string finding(const WidthGroup& width) {
  const CompareRow* row = best_row(width);
  if (!row) return "";
  const std::string where = fmt::format(" at {} ({})", width.name, recipe_words(width, *row));
  if (!std::isfinite(row->gap_closed_perplexity)) return "has nothing to be compared with" + where;
  if (row->gap_closed_perplexity <= 0) return "wins back nothing" + where;
  const std::string share = "<b>" + percent(row->gap_closed_perplexity) + "</b>";
  const char* doubt = row->nll_high < 0 ? "" : ", within the noise of these windows";
  return fmt::format("wins back {}{}{}", share, where, doubt);
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += i + 1 == parts.size() ? "; and " : "; ";
    text += parts[i];
  }
  return text;
}

}  // namespace

std::string summary(const Comparison& comparison) {
  std::vector<std::string> findings;
  for (const WidthGroup& width : group_rows(comparison)) {
    if (std::string text = finding(width); !text.empty()) findings.push_back(text);
  }
  if (findings.empty()) return "No row with a sequence transform was measured.";
  return "Of the perplexity that quantization costs without a sequence transform, at equal average "
         "bits, the best STaMP row " +
         joined(findings) + ".";
}

}  // namespace stamp::report
