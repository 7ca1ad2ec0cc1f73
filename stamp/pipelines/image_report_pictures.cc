// Pictures side by side with the reference below a slider.
#include <fmt/format.h>

#include <algorithm>

#include "stamp/io/base64.h"
#include "stamp/pipelines/image_report_parts.h"

namespace stamp::report {
namespace {

constexpr size_t kMostColumns = 4;  // besides the reference

struct Column {
  std::string title;
  const ImageCompareRow* row;
};

std::string data_uri(const Picture& picture) {
  return "data:image/png;base64," + base64(encode_png(picture));
}

std::string method_name(const std::string& feature) {
  return feature == "none" ? "" : feature_name(feature);
}

/// Without and with L, for no feature transform and for the first one there is.
std::vector<Column> story_columns(const ImageWidths& widths) {
  std::vector<Column> columns;
  for (const ImageMethod& method : widths.methods) {
    if (columns.size() >= kMostColumns) break;
    for (const ImageCompareRow* row : method.rows) {
      const TokenSpec& spec = row->recipe.activations;
      if (spec.plan.kind != "two_level" || row->pictures.empty()) continue;
      const std::string r = method_name(method.feature);
      std::string title = widths.name;
      if (!r.empty()) title += " + " + r;
      if (spec.sequence.transform != "identity") title += " + L";
      columns.push_back({title, row});
    }
  }
  return columns;
}

/// Recipes that are no grid: the first ones.
std::vector<Column> first_columns(const ImageComparison& comparison) {
  std::vector<Column> columns;
  for (const ImageCompareRow& row : comparison.rows)
    if (columns.size() < kMostColumns && !row.pictures.empty())
      columns.push_back({row.label, &row});
  return columns;
}

std::string shot(const std::string& reference, const Picture* over, double sqnr) {
  const std::string bottom = fmt::format("<img alt=\"unquantized\" src=\"{}\">", reference);
  if (over == nullptr) return "<div><div class=\"shot\">" + bottom + "</div></div>\n";
  return fmt::format(
      "<div><div class=\"shot compared\">{}<img class=\"over\" alt=\"quantized\" "
      "src=\"{}\"></div><small>{} dB</small></div>\n",
      bottom, data_uri(*over), number(sqnr, 1));
}

std::string pictures_of(const ImageComparison& c, const std::string& name,
                        const std::vector<Column>& columns) {
  std::string id = name;
  std::replace(id.begin(), id.end(), ' ', '-');
  std::string html = fmt::format(
      "<h3>{}</h3>\n<div style=\"--columns:{}\">\n<input type=\"checkbox\" class=\"differ\" "
      "id=\"differ-{}\"> <label for=\"differ-{}\">Show the difference, three times as "
      "bright</label>\n<div class=\"shots\">\n<div class=\"head\">unquantized</div>\n",
      escape(name), columns.size() + 1, escape(id), escape(id));
  for (const Column& column : columns)
    html += "<div class=\"head\">" + escape(column.title) + "</div>\n";
  for (size_t i = 0; i < c.pictures.size(); ++i) {
    const std::string reference = data_uri(c.pictures[i]);
    html += "<p class=\"prompt\">“" + escape(c.picture_prompts[i]) + "”</p>\n";
    html += shot(reference, nullptr, 0);
    for (const Column& column : columns)
      html += i < column.row->pictures.size()
                  ? shot(reference, &column.row->pictures[i], column.row->scores[i].sqnr)
                  : "<div></div>\n";
  }
  return html + "</div></div>\n";
}

}  // namespace

std::string pictures_figure(const ImageComparison& comparison) {
  std::string html;
  for (const ImageWidths& widths : group_rows(comparison))
    if (const std::vector<Column> columns = story_columns(widths); columns.size() > 1)
      html += pictures_of(comparison, widths.name, columns);
  if (const std::vector<Column> columns = first_columns(comparison);
      html.empty() && !columns.empty())
    html += pictures_of(comparison, "Recipes", columns);
  if (html.empty()) return "";
  return figure(
      "pictures", "Same prompt, same seed", "",
      "<p class=\"controls\"><label>quantized <input type=\"range\" min=\"0\" max=\"100\" "
      "value=\"100\" aria-label=\"share of each picture that is quantized\" "
      "oninput=\"this.closest('figure').style.setProperty('--cut',this.value+'%')\"> "
      "</label><span>Pull the slider to the left: the unquantized picture comes out from "
      "below.</span></p>\n" +
          html,
      "Below each picture its SQNR against the unquantized one. Both columns of a method spend the "
      "same bits: without L the first tokens are kept at 8 bits, with L (haar2d, two_level) as "
      "many coarse coefficients.");
}

}  // namespace stamp::report
