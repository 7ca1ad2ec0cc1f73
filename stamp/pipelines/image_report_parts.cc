#include "stamp/pipelines/image_report_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace stamp::report {
namespace {

std::string widths_of(const Recipe& recipe) {
  return recipe.weights.bits < 16
             ? fmt::format("W{} A{}", recipe.weights.bits, recipe.activations.bits)
             : fmt::format("A{}", recipe.activations.bits);
}

template <class Group>
Group& group_named(std::vector<Group>& groups, std::string Group::*field, const std::string& name) {
  for (Group& group : groups)
    if (group.*field == name) return group;
  groups.emplace_back();
  groups.back().*field = name;
  return groups.back();
}

}  // namespace

std::vector<ImageWidths> group_rows(const ImageComparison& comparison) {
  std::vector<ImageWidths> groups;
  for (const ImageCompareRow& row : comparison.rows) {
    ImageWidths& widths = group_named(groups, &ImageWidths::name, widths_of(row.recipe));
    group_named(widths.methods, &ImageMethod::feature, row.recipe.feature).rows.push_back(&row);
  }
  return groups;
}

std::string arm_label(const ImageCompareRow& row) {
  const TokenSpec& spec = row.recipe.activations;
  std::string label = spec.sequence.transform;
  if (label == "identity") return spec.plan.kind == "uniform" ? "no L, unprotected" : "no L";
  return spec.plan.kind == "two_level" ? label : label + ", " + spec.plan.kind;
}

std::string arm_colour(const ImageCompareRow& row) {
  const TokenSpec& spec = row.recipe.activations;
  if (spec.sequence.transform == "identity")
    return spec.plan.kind == "uniform" ? "k-open" : "k-none";
  return spec.plan.kind == "two_level" ? "k-haar" : "k-wht";
}

std::string arm_legend(const ImageComparison& comparison) {
  std::string legend;
  std::vector<std::string> seen;
  for (const ImageCompareRow& row : comparison.rows) {
    const std::string label = arm_label(row);
    if (std::find(seen.begin(), seen.end(), label) != seen.end()) continue;
    seen.push_back(label);
    legend += fmt::format("<span class=\"key {}\">{}</span>\n", arm_colour(row), escape(label));
  }
  return legend;
}

double mean_score(const ImageCompareRow& row, double ImageScore::*field) {
  double sum = 0;
  for (const ImageScore& score : row.scores) sum += score.*field;
  return row.scores.empty() ? std::nan("") : sum / static_cast<double>(row.scores.size());
}

const char* const kImageStyle = R"css(
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 28px; margin: 10px 0 14px; font-size: .9rem; }
.controls input[type=range] { width: 180px; vertical-align: middle; }
.shots { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 10px; align-items: start; }
.shots .prompt { grid-column: 1 / -1; margin: 10px 0 0; font-size: .92rem; }
.shot { position: relative; isolation: isolate; border-radius: 6px; overflow: hidden; background: #000; }
.shot img { display: block; width: 100%; image-rendering: auto; }
.shot .over { position: absolute; inset: 0; clip-path: inset(0 calc(100% - var(--cut, 100%)) 0 0); }
.differ:checked ~ .shots .over { clip-path: none; mix-blend-mode: difference; }
.differ:checked ~ .shots .compared { filter: brightness(3); }
.shots small { display: block; line-height: 1.3; margin-top: 3px; }
.shots .head { font-size: .86rem; font-weight: 600; line-height: 1.25; }
)css";

}  // namespace stamp::report
