#pragma once
// The parts that the HTML report of an image comparison is put together from.
#include "stamp/pipelines/image_compare.h"
#include "stamp/pipelines/report_parts.h"

namespace stamp::report {

/// Rows of one method at one set of widths, in the order of the comparison.
struct ImageMethod {
  std::string feature;
  std::vector<const ImageCompareRow*> rows;
};
/// The methods at one set of widths.
struct ImageWidths {
  std::string name;  // "W4 A4"
  std::vector<ImageMethod> methods;
};
std::vector<ImageWidths> group_rows(const ImageComparison& comparison);
/// "no L", "no L, unprotected", "haar2d", "haar2d, waterfill".
std::string arm_label(const ImageCompareRow& row);
std::string arm_colour(const ImageCompareRow& row);
/// Colour keys of all arms that occur.
std::string arm_legend(const ImageComparison& comparison);
double mean_score(const ImageCompareRow& row, double ImageScore::*field);

/// Each figure is empty when there is nothing to draw.
std::string pictures_figure(const ImageComparison& comparison);
std::string images_table(const ImageComparison& comparison);
std::string steps_figure(const ImageComparison& comparison);
std::string layers_figure(const ImageComparison& comparison);
std::string site_figure(const ImageComparison& comparison);
extern const char* const kImageStyle;

}  // namespace stamp::report
