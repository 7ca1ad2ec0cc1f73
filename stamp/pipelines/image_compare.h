#pragma once
// Recipes of a diffusion transformer measured against the unquantized one: same prompts, same
// seeds.
#include "stamp/io/json.h"
#include "stamp/pipelines/image.h"
#include "stamp/pipelines/image_metrics.h"

namespace stamp {

struct ImageCompareOptions {
  ImageOptions image;  // recipe and calibration are not looked at
  /// Presets or recipe files; empty: image_compare_grid().
  std::vector<std::string> recipes;
  int high_tokens = 64;
  /// For recipes that need calibration; none of the prompts that are drawn.
  std::vector<std::string> calibration_prompts;
  /// So many prompts are also measured step by step on the reference's own latents, where errors
  /// do not add up over the steps.
  int64_t teacher_prompts = 4;
};

/// One line of the table.
struct ImageCompareRow {
  Recipe recipe;
  std::string label;  // "RTN", "RTN + STaMP"
  int baseline = -1;  // the row that a row with L is compared with; -1: none
  bool simulated = false;
  double bits = 16, bits_with_scales = 16;  // average of the quantized linear inputs
  std::vector<ImageScore> scores;           // per prompt
  std::vector<double> step_sqnr;            // teacher-forced, per step, dB, mean over prompts
  double seconds_per_step = 0;
};

struct ImageComparison {
  ImagePlan plan;
  std::string machine, commit, pipeline_name;
  int64_t prompts = 0, steps = 0;
  double guidance = 0;
  uint64_t seed = 0;
  std::vector<ImageCompareRow> rows;
  double reference_seconds_per_step = 0, seconds = 0;
  int64_t peak_rss_bytes = 0;
  bool partial = false;
};

/// The paper's table: RTN and Hadamard at A4 and W4A4 (activations in blocks of 64 channels,
/// weights in groups of 64), each without protected rows, with the first tokens at 8 bits, and with
/// the two-dimensional Haar transform, which spends as many bits.
std::vector<ImageCompareRow> image_compare_grid(int high_tokens);
/// Throws std::invalid_argument for options that do not fit, and as generate_images(). When
/// interrupted() the rows finished so far are returned, marked partial.
ImageComparison compare_images(const ImageCompareOptions& options);
std::string to_text(const ImageComparison& comparison);
Json to_json(const ImageComparison& comparison);

}  // namespace stamp
