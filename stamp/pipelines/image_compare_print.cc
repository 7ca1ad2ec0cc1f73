#include <cmath>

#include "stamp/core/error.h"
#include "stamp/pipelines/image_compare_cache.h"

namespace stamp {
namespace {

template <class Field>
std::vector<double> values_of(const ImageCompareRow& row, Field ImageScore::*field) {
  std::vector<double> values;
  for (const ImageScore& score : row.scores) values.push_back(score.*field);
  return values;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? std::nan("") : sum / static_cast<double>(values.size());
}

std::string gain_text(const std::vector<double>& values) {
  if (values.empty()) return "";
  const Interval interval = bootstrap_mean(values);
  return fmt::format("{:+.2f} [{:+.2f}, {:+.2f}]", mean(values), interval.low, interval.high);
}

/// "26.31 (-0.12)": what CLIP says of these images, and of the unquantized model's.
std::string clip_cell(double value, double reference, int decimals) {
  return fmt::format("{:.{}f} ({:+.{}f})", value, decimals, value - reference, decimals);
}

std::string clip_cells(const ImageComparison& c, const std::vector<ClipScore>& scores) {
  if (c.clip.empty()) return "";
  const ClipScore mean = mean_clip_score(scores), reference = mean_clip_score(c.clip);
  return fmt::format(" {:>15} {:>15}", clip_cell(mean.score, reference.score, 2),
                     clip_cell(mean.iqa, reference.iqa, 3));
}

/// The unquantized model's line, below the head of the table.
std::string clip_line(const ImageComparison& c) {
  if (c.clip.empty()) return "";
  const ClipScore mean = mean_clip_score(c.clip);
  return fmt::format("{:101} {:>15.2f} {:>15.3f}\n", "unquantized", mean.score, mean.iqa);
}

std::string clip_note(const ImageComparison& c) {
  if (c.clip.empty()) return "";
  std::string text = fmt::format(
      "CLIP: 100 cos of image and prompt; CLIP-IQA: probability of a good photo; both by {}, mean "
      "over images (difference from the unquantized model).\n",
      c.clip_directory);
  if (c.clip_cut_prompts > 0)
    text += fmt::format(
        "{} of {} prompts have more tokens than CLIP takes; their CLIP scores say nothing (cut as "
        "torchmetrics does it).\n",
        c.clip_cut_prompts, c.prompts);
  return text;
}

Json clip_json(const ImageComparison& c) {
  const ClipScore mean = mean_clip_score(c.clip);
  Json scores = Json::array();
  for (const ClipScore& own : c.clip)
    scores.push_back({{"clip_score", own.score}, {"clip_iqa", own.iqa}});
  return {{"directory", c.clip_directory},
          {"cut_prompts", c.clip_cut_prompts},
          {"score", mean.score},
          {"iqa", mean.iqa},
          {"scores", scores}};
}

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json to_json(const ImageComparison& comparison, const ImageCompareRow& row) {
  Json json = measured_json(row);
  json["label"] = row.label;
  json["recipe"] = to_json(row.recipe);
  if (!row.clip.empty()) {
    const ClipScore mean = mean_clip_score(row.clip), reference = mean_clip_score(comparison.clip);
    json["clip"] = {{"score", mean.score},
                    {"score_change", mean.score - reference.score},
                    {"iqa", mean.iqa},
                    {"iqa_change", mean.iqa - reference.iqa}};
  }
  if (const std::vector<double> gain = image_gains(comparison, row); !gain.empty()) {
    const Interval interval = bootstrap_mean(gain);
    json["gain"] = {{"baseline", comparison.rows[static_cast<size_t>(row.baseline)].label},
                    {"mean", finite(mean(gain))},
                    {"low", finite(interval.low)},
                    {"high", finite(interval.high)}};
  }
  return json;
}

}  // namespace

std::vector<double> image_gains(const ImageComparison& comparison, const ImageCompareRow& row) {
  std::vector<double> result;
  if (row.baseline < 0 || row.baseline >= static_cast<int>(comparison.rows.size())) return result;
  const ImageCompareRow& base = comparison.rows[static_cast<size_t>(row.baseline)];
  for (size_t i = 0; i < row.scores.size(); ++i)
    result.push_back(row.scores[i].sqnr - base.scores[i].sqnr);
  return result;
}

std::string to_text(const ImageComparison& c) {
  std::string text = fmt::format(
      "{}, {} x {} pixels, {} prompts, {} steps, guidance {}, seeds from {}\n{}\n\n"
      "SQNR, dB, of images in [-1, 1] against the unquantized model with the same seeds (mean over "
      "prompts)\n\n"
      "{:44} {:>6} {:>7} {:>8} {:>8} {:>7} {:>7} {:>7}{}  {}\n",
      c.pipeline_name, c.plan.width, c.plan.height, c.prompts, c.steps, c.guidance, c.seed,
      c.machine, "", "bits", "SQNR", "in [0,1]", "latents", "steps", "PSNR", "SSIM",
      c.clip.empty() ? "" : fmt::format(" {:>15} {:>15}", "CLIP", "CLIP-IQA"), "gain of L [95 %]");
  text += clip_line(c);
  bool simulated = false;
  for (const ImageCompareRow& row : c.rows) {
    const auto average = [&](double ImageScore::*field) { return mean(values_of(row, field)); };
    text +=
        fmt::format("{:44} {:>6.3f} {:>7.2f} {:>8.2f} {:>8.2f} {:>7.2f} {:>7.2f} {:>7.4f}{}  {}\n",
                    row.label + (row.simulated ? " *" : ""), row.bits, average(&ImageScore::sqnr),
                    average(&ImageScore::sqnr_unit), average(&ImageScore::sqnr_latents),
                    mean(row.step_sqnr), average(&ImageScore::psnr), average(&ImageScore::ssim),
                    clip_cells(c, row.clip), gain_text(image_gains(c, row)));
    simulated |= row.simulated;
  }
  text +=
      "\nsteps: SQNR of the noise prediction on the reference's own latents, mean over steps.\n";
  text += clip_note(c);
  if (simulated) text += "*: simulated, fp32 arithmetic on quantized values.\n";
  if (c.partial) text += "Interrupted: rows are missing.\n";
  text += fmt::format(
      "{:.1f} s, peak memory {:.2f} GiB; a step of the unquantized model {:.2f} s\n", c.seconds,
      static_cast<double>(c.peak_rss_bytes) / (int64_t{1} << 30), c.reference_seconds_per_step);
  return text;
}

Json to_json(const ImageComparison& c) {
  Json rows = Json::array();
  for (const ImageCompareRow& row : c.rows) rows.push_back(to_json(c, row));
  Json json = {{"pipeline", c.pipeline_name},
               {"machine", c.machine},
               {"commit", c.commit},
               {"width", c.plan.width},
               {"height", c.plan.height},
               {"tokens", c.plan.tokens},
               {"prompts", c.prompts},
               {"steps", c.steps},
               {"guidance", c.guidance},
               {"seed", c.seed},
               {"reference_seconds_per_step", c.reference_seconds_per_step},
               {"seconds", c.seconds},
               {"peak_rss_bytes", c.peak_rss_bytes},
               {"partial", c.partial},
               {"rows", rows}};
  if (!c.clip.empty()) json["clip"] = clip_json(c);
  return json;
}

}  // namespace stamp
