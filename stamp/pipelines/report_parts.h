#pragma once
// The parts that the HTML report is put together from.
#include <string>
#include <vector>

#include "stamp/pipelines/compare.h"
#include "stamp/pipelines/svg.h"

namespace stamp::report {

/// Rows of one bit width and feature transform, in the order of the comparison.
struct FeatureGroup {
  std::string feature;
  std::vector<const CompareRow*> rows;
};
/// Rows of one set of bit widths.
struct WidthGroup {
  std::string name;  // "W4 A4 KV4"
  std::vector<FeatureGroup> features;
};
std::vector<WidthGroup> group_rows(const Comparison& comparison);

/// No sequence transform: what the others are measured against.
bool is_baseline(const CompareRow& row);
/// A baseline without rows at 8 bits; it spends fewer bits than its group.
bool is_unprotected(const CompareRow& row);
/// "no L, unprotected", "haar · waterfill"; the plan only when the comparison has several.
std::string row_label(const Comparison& comparison, const CompareRow& row);
/// Index of the row's plan among those of the comparison: the shape of its marker.
int plan_index(const Comparison& comparison, const CompareRow& row);
/// CSS class that sets the colour of a sequence transform, and of a row.
std::string colour_class(const std::string& sequence);
std::string row_colour(const CompareRow& row);
/// Colour keys of the sequences that occur in `rows`.
std::string sequence_legend(const std::vector<CompareRow>& rows);
std::string feature_name(const std::string& feature);

/// The main finding in one sentence.
std::string summary(const Comparison& comparison);
std::string results_table(const Comparison& comparison);
/// Each figure is a <figure> with its caption, or empty when there is nothing to draw.
std::string divergence_figure(const Comparison& comparison);
std::string perplexity_figure(const Comparison& comparison);
std::string autocorrelation_figure(const Comparison& comparison);
std::string energy_figure(const Comparison& comparison);
std::string sqnr_figure(const Comparison& comparison);
/// <figure> around drawings: `legend` may be empty; `caption` is HTML.
std::string figure(const std::string& id, const std::string& title, const std::string& legend,
                   const std::string& drawings, const std::string& caption);

/// SVG of the matrix in a square; `axis` covers its values, those that are not finite stay blank.
std::string heat_cells(const Matrix& m, const Axis& axis, double left, double top, double side);
/// The colours of `axis` beside it, from `left` on; `unit` is written upwards.
void draw_heat_legend(Svg& svg, const Axis& axis, double left, double top, double side,
                      const std::string& unit);

extern const char* const kStyle;

}  // namespace stamp::report
