// Grouping and naming of the rows of a comparison.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "stamp/pipelines/report_parts.h"
#include "stamp/pipelines/svg.h"

namespace stamp::report {
namespace {

struct SequenceStyle {
  std::string_view sequence, colour, label;
};
constexpr std::array<SequenceStyle, 5> kStyles = {{{"none", "k-none", "no L"},
                                                   {"identity", "k-none", "no L"},
                                                   {"haar", "k-haar", "haar"},
                                                   {"dct", "k-dct", "dct"},
                                                   {"wht", "k-wht", "wht"}}};

const SequenceStyle* find_style(const std::string& sequence) {
  const auto* found = std::find_if(kStyles.begin(), kStyles.end(),
                                   [&](const SequenceStyle& s) { return s.sequence == sequence; });
  return found == kStyles.end() ? nullptr : found;
}

std::string sequence_label(const CompareRow& row) {
  if (is_unprotected(row)) return "no L, unprotected";
  const SequenceStyle* style = find_style(row.sequence);
  return style ? std::string(style->label) : row.sequence;
}

std::vector<std::string> plans_of(const Comparison& comparison) {
  std::vector<std::string> plans;
  for (const CompareRow& row : comparison.rows) {
    const bool known = std::find(plans.begin(), plans.end(), row.plan) != plans.end();
    if (!is_unprotected(row) && !known) plans.push_back(row.plan);
  }
  return plans;
}

template <class Group>
Group& named(std::vector<Group>& groups, std::string Group::*member, const std::string& name) {
  for (Group& group : groups) {
    if (group.*member == name) return group;
  }
  groups.emplace_back().*member = name;
  return groups.back();
}

}  // namespace

std::vector<WidthGroup> group_rows(const Comparison& comparison) {
  std::vector<WidthGroup> groups;
  for (const CompareRow& row : comparison.rows) {
    const std::string name =
        fmt::format("W{} A{} KV{}", row.weight_bits, row.activation_bits, row.kv_bits);
    WidthGroup& group = named(groups, &WidthGroup::name, name);
    named(group.features, &FeatureGroup::feature, row.feature).rows.push_back(&row);
  }
  return groups;
}

bool is_baseline(const CompareRow& row) {
  return row.sequence == "none" || row.sequence == "identity" || is_unprotected(row);
}

bool is_unprotected(const CompareRow& row) {
  return row.sequence == "none-unprotected" || (row.sequence == "none" && row.plan == "uniform");
}

std::string row_label(const Comparison& comparison, const CompareRow& row) {
  const std::string label = sequence_label(row);
  return is_unprotected(row) || plans_of(comparison).size() < 2 ? label : label + " · " + row.plan;
}

int plan_index(const Comparison& comparison, const CompareRow& row) {
  const std::vector<std::string> plans = plans_of(comparison);
  const auto found = std::find(plans.begin(), plans.end(), row.plan);
  return found == plans.end() ? 0 : static_cast<int>(found - plans.begin());
}

std::string colour_class(const std::string& sequence) {
  const SequenceStyle* style = find_style(sequence);
  return style ? std::string(style->colour) : "k-other";
}

std::string row_colour(const CompareRow& row) {
  return is_unprotected(row) ? "k-open" : colour_class(row.sequence);
}

std::string sequence_legend(const std::vector<CompareRow>& rows) {
  std::string legend;
  std::set<std::string> seen;
  for (const CompareRow& row : rows) {
    const std::string label = sequence_label(row);
    if (!seen.insert(label).second) continue;
    legend += fmt::format("<span class=\"key {}\">{}</span>\n", row_colour(row), escape(label));
  }
  return legend;
}

std::string feature_name(const std::string& feature) {
  return feature == "none" ? "no feature transform" : feature;
}

}  // namespace stamp::report
