// The HTML report of an image comparison: one file without any reference to another.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "stamp/pipelines/image_report_parts.h"

namespace stamp {
namespace report {
namespace {

constexpr int kColumns = 8;  // of the table, besides the arm's name and those of CLIP

std::string fact(const std::string& name, const std::string& value) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", name, escape(value));
}

std::string facts(const ImageComparison& c) {
  return "<dl>\n" + fact("Pipeline", c.pipeline_name) +
         fact("Images", fmt::format("{} of {} x {} pixels, {} tokens", c.prompts, c.plan.width,
                                    c.plan.height, c.plan.tokens)) +
         fact("Sampling",
              fmt::format("{} steps, guidance {}, seeds from {}", c.steps, c.guidance, c.seed)) +
         fact("Machine", c.machine) + fact("Commit", c.commit) +
         fact("Run", fmt::format("{} s, peak memory {} MiB", number(c.seconds, 0),
                                 c.peak_rss_bytes >> 20)) +
         "</dl>\n";
}

struct Gain {
  double mean = 0;
  Interval interval;
};
Gain gain_of(const std::vector<double>& values) {
  Gain gain{.interval = bootstrap_mean(values)};
  for (const double value : values) gain.mean += value / static_cast<double>(values.size());
  return gain;
}

/// How often L wins, in one sentence.
std::string summary(const ImageComparison& c) {
  int wins = 0, pairs = 0;
  double best = 0;
  std::string where;
  for (const ImageCompareRow& row : c.rows) {
    const std::vector<double> gains = image_gains(c, row);
    if (gains.empty()) continue;
    const Gain gain = gain_of(gains);
    ++pairs;
    wins += gain.interval.low > 0;
    if (gain.mean <= best) continue;
    best = gain.mean;
    where = row.label;
  }
  if (pairs == 0) return "How close quantized images come to those of the unquantized model.";
  std::string text = fmt::format(
      "At equal bits L brings images closer to the unquantized model's in {} of {} "
      "pairs (95 % interval above zero)",
      wins, pairs);
  if (best > 0) text += fmt::format(", by up to {} dB ({})", number(best, 1), escape(where));
  return text + ".";
}

std::string header(const ImageComparison& c) {
  std::string html = "<h1>What STaMP changes for " + escape(c.pipeline_name) + "</h1>\n";
  if (c.partial)
    html +=
        "<p class=\"banner\" role=\"status\"><b>Partial result.</b> The run was interrupted: rows "
        "are missing.</p>\n";
  return html + "<p class=\"lead\">" + summary(c) + "</p>\n" + facts(c);
}

std::string gain_cell(const std::vector<double>& gains) {
  if (gains.empty()) return "";
  const Gain gain = gain_of(gains);
  const std::string text = fmt::format("{}{}", gain.mean > 0 ? "+" : "", number(gain.mean, 2));
  return fmt::format("{} <small>[{}, {}]</small>",
                     gain.interval.low > 0 ? "<b>" + text + "</b>" : text,
                     number(gain.interval.low, 2), number(gain.interval.high, 2));
}

std::string clip_cell(double value, double reference, int decimals) {
  const double change = value - reference;
  return fmt::format("{} <small>[{}{}]</small>", number(value, decimals), change > 0 ? "+" : "",
                     number(change, decimals));
}

std::vector<std::string> clip_cells(const ImageComparison& c, const ImageCompareRow& row) {
  if (c.clip.empty()) return {};
  const ClipScore mean = mean_clip_score(row.clip), reference = mean_clip_score(c.clip);
  return {clip_cell(mean.score, reference.score, 2), clip_cell(mean.iqa, reference.iqa, 3)};
}

/// The unquantized model above all groups.
std::string clip_row(const ImageComparison& c) {
  if (c.clip.empty()) return "";
  const ClipScore mean = mean_clip_score(c.clip);
  return fmt::format(
      "<tr><th scope=\"row\">unquantized</th><td>16</td><td colspan=\"{}\"></td><td>{}</td><td>{}"
      "</td></tr>\n",
      kColumns - 1, number(mean.score, 2), number(mean.iqa, 3));
}

std::string clip_caption(const ImageComparison& c) {
  if (c.clip.empty()) return "";
  std::string text = fmt::format(
      " CLIP score: 100 cos of image and prompt; CLIP-IQA: probability of a good photo; both by "
      "{}, "
      "mean over images [difference from the unquantized model].",
      escape(c.clip_directory));
  if (c.clip_cut_prompts > 0)
    text +=
        fmt::format(" {} of {} prompts have more tokens than CLIP takes; their scores say nothing.",
                    c.clip_cut_prompts, c.prompts);
  return text;
}

std::string table_row(const ImageComparison& c, const ImageCompareRow& row, bool best) {
  const auto score = [&](double ImageScore::*field, int decimals) {
    return number(mean_score(row, field), decimals);
  };
  const std::string sqnr = score(&ImageScore::sqnr, 2);
  double steps = 0;
  for (const double value : row.step_sqnr)
    steps += value / static_cast<double>(row.step_sqnr.size());
  std::string html =
      fmt::format("<tr><th scope=\"row\"><span class=\"key {}\">{}</span>{}</th>", arm_colour(row),
                  escape(arm_label(row)), row.simulated ? " <small>simulated</small>" : "");
  std::vector<std::string> cells = {number(row.bits, 3),
                                    number(row.bits_with_scales, 3),
                                    best ? "<b>" + sqnr + "</b>" : sqnr,
                                    gain_cell(image_gains(c, row)),
                                    number(row.step_sqnr.empty() ? std::nan("") : steps, 2),
                                    score(&ImageScore::sqnr_latents, 2),
                                    score(&ImageScore::psnr, 2),
                                    score(&ImageScore::ssim, 4)};
  for (std::string& cell : clip_cells(c, row)) cells.push_back(std::move(cell));
  for (const std::string& cell : cells) html += "<td>" + cell + "</td>";
  return html + "</tr>\n";
}

}  // namespace

std::string images_table(const ImageComparison& c) {
  std::string html =
      "<div class=\"scroll\"><table>\n<thead><tr><th>Arm</th><th>Data bits</th><th>incl. "
      "scales</th><th>SQNR, dB</th><th>Gain of L, dB [95 %]</th><th>SQNR of single "
      "steps</th><th>SQNR of latents</th><th>PSNR, dB</th><th>SSIM</th>";
  if (!c.clip.empty()) html += "<th>CLIP score</th><th>CLIP-IQA</th>";
  html += "</tr></thead>\n<tbody>\n" + clip_row(c);
  const int columns = kColumns + (c.clip.empty() ? 1 : 3);
  for (const ImageWidths& widths : group_rows(c))
    for (const ImageMethod& method : widths.methods) {
      html += fmt::format(
          "<tr class=\"group\"><th colspan=\"{}\"><span>{} <i>{}</i></span></th></tr>\n", columns,
          escape(widths.name), escape(feature_name(method.feature)));
      double best = -std::numeric_limits<double>::infinity();
      for (const ImageCompareRow* row : method.rows)
        best = std::max(best, mean_score(*row, &ImageScore::sqnr));
      for (const ImageCompareRow* row : method.rows)
        html += table_row(c, *row, mean_score(*row, &ImageScore::sqnr) == best);
    }
  return html +
         "</tbody></table></div>\n<p class=\"caption\"><b>Table 1.</b> SQNR of pixels in [-1, 1] "
         "against the unquantized model with the same seeds, mean over prompts of the dB of each. "
         "Gains are taken prompt by prompt against “no L” of the same method, which spends as many "
         "bits, with a bootstrap interval; bold where all of it is above zero." +
         clip_caption(c) + "</p>\n";
}

}  // namespace report

std::string to_html(const ImageComparison& comparison) {
  using namespace report;
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
      escape("STaMP: " + comparison.pipeline_name) + "</title>\n<style>" + kStyle + kImageStyle +
      "</style>\n</head>\n<body>\n<main>\n";
  html += header(comparison) + pictures_figure(comparison) + "<h2>Results</h2>\n" +
          images_table(comparison);
  html += steps_figure(comparison) + layers_figure(comparison) + site_figure(comparison);
  return html +
         "<footer>Written by <code>stamp compare</code>. STaMP: arXiv 2510.26771.</footer>\n"
         "</main>\n</body>\n</html>\n";
}

}  // namespace stamp
