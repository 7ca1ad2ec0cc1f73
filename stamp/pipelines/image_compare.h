#pragma once
// Recipes of a diffusion transformer measured against the unquantized one: same prompts, same
// seeds.
#include "stamp/io/json.h"
#include "stamp/pipelines/clip_score.h"
#include "stamp/pipelines/image.h"
#include "stamp/pipelines/image_metrics.h"

namespace stamp {

/// Feature transforms that have a place in the grid: none, hadamard, ...
std::vector<std::string> image_compare_features();

/// What the grid varies; widths below 16 of weights and linear inputs.
struct ImageGrid {
  int high_tokens = 64;
  std::vector<std::string> features = image_compare_features();
  std::vector<int> weights = {16, 4}, activations = {4};
};

struct ImageCompareOptions {
  ImageOptions image;  // recipe and calibration are not looked at
  /// Presets or recipe files; empty: image_compare_grid().
  std::vector<std::string> recipes;
  ImageGrid grid;
  /// Folder that keeps calibrations and finished rows, so that an interrupted run continues; empty:
  /// none.
  std::filesystem::path cache;
  /// So many prompts are kept as pictures.
  int64_t pictures = 0;
  /// For recipes that need calibration; none of the prompts that are drawn.
  std::vector<std::string> calibration_prompts;
  /// So many prompts are also measured step by step on the reference's own latents, where errors
  /// do not add up over the steps.
  int64_t teacher_prompts = 4;
  /// CLIP directory that images and prompts are scored with; empty: they are not.
  std::filesystem::path clip;
};

/// One line of the table.
struct ImageCompareRow {
  Recipe recipe;
  std::string label;  // "RTN", "RTN + STaMP"
  int baseline = -1;  // the row that a row with L is compared with; -1: none
  bool simulated = false;
  double bits = 16, bits_with_scales = 16;  // average of the quantized linear inputs
  std::vector<ImageScore> scores;           // per prompt
  std::vector<ClipScore> clip;              // per prompt; empty: not asked for
  std::vector<double> step_sqnr;            // teacher-forced, per step, dB, mean over prompts
  double seconds_per_step = 0;
  std::vector<Picture> pictures;             // of the first prompts
  std::map<std::string, double> layer_sqnr;  // teacher-forced, dB of each linear's output
};

/// What the reference's input of one group of linears looks like, half-way through an image.
struct ImageSitePicture {
  std::string site;  // empty: nothing was recorded
  /// Entry (R + dy, R + dx): mean over tokens of <x(i), x(i + (dy, dx))>, relative to dy = dx = 0,
  /// where offsets leave the grid those tokens left out.
  Matrix autocorrelation;
  /// Share of a token's energy in the mean of all, [height, width], and after haar2d with its
  /// sub-bands where a wavelet's picture has them: LL at the top left, cV beside it, cH below.
  Matrix energy, transformed;
};
ImageSitePicture make_site_picture(const std::string& site, ConstFloatView x, int64_t width,
                                   int64_t high_tokens);

struct ImageComparison {
  ImagePlan plan;
  std::string machine, commit, pipeline_name;
  int64_t prompts = 0, steps = 0;
  double guidance = 0;
  uint64_t seed = 0;
  std::vector<ImageCompareRow> rows;
  std::vector<std::string> picture_prompts;
  std::vector<Picture> pictures;  // of the reference
  std::vector<ClipScore> clip;    // of the reference, per prompt; empty: not asked for
  std::string clip_directory;
  int64_t clip_cut_prompts = 0;  // longer than CLIP's texts
  ImageSitePicture site;
  double reference_seconds_per_step = 0, seconds = 0;
  int64_t peak_rss_bytes = 0;
  bool partial = false;
};

/// The paper's table: RTN, Hadamard, SmoothQuant, ViDiT-Q and SVDQuant at A4 and W4A4, each without
/// protected rows, with the first tokens at 8 bits, and with the two-dimensional Haar transform,
/// which spends as many bits, under the plans two_level and waterfill. All rows have asymmetric
/// activations in blocks of 64 channels (rows of L X of a GELU's output are not positive, so that
/// SVDQuant's unsigned codes do not apply) and weights rounded to nearest in groups of 64;
/// smoothing is done at every input, SVDQuant's branch has rank 32. Throws std::invalid_argument
/// for other features and widths.
std::vector<ImageCompareRow> image_compare_grid(const ImageGrid& grid);
/// Throws std::invalid_argument for options that do not fit, and as generate_images(). When
/// interrupted() the rows finished so far are returned, marked partial.
ImageComparison compare_images(const ImageCompareOptions& options);
/// Gain in dB over the row's baseline, prompt by prompt; empty without one.
std::vector<double> image_gains(const ImageComparison& comparison, const ImageCompareRow& row);
std::string to_text(const ImageComparison& comparison);
Json to_json(const ImageComparison& comparison);
/// A self-contained page.
std::string to_html(const ImageComparison& comparison);

}  // namespace stamp
