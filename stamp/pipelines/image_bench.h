#pragma once
// Speed and memory of one denoising step of a published shape, with random weights.
#include "stamp/core/phase_timer.h"
#include "stamp/io/json.h"
#include "stamp/models/image_transformer.h"

namespace stamp {

struct ImageBenchOptions {
  std::string shape;            // one of image_shape_names()
  std::vector<Recipe> recipes;  // one, or two that take turns
  int runs = 3;                 // timed, after one that is not
  Compute compute = Compute::kF32;
  Execution execution = Execution::kInteger;
};

struct ImageBenchSide {
  Recipe recipe;
  bool simulated = false;
  double load_seconds = 0;
  std::vector<double> step_seconds;  // one per run
  PhaseTimes phases;                 // sums over these
  int64_t weight_bytes = 0;
};

struct ImageBenchResult {
  int64_t tokens = 0;
  std::vector<ImageBenchSide> sides;
  int64_t peak_rss_bytes = 0;
  bool partial = false;
};

/// "pixart-sigma-1024", "sana-1.6b-1024", ...
std::vector<std::string> image_shape_names();
/// One image, no guidance, 300 text tokens. Throws std::invalid_argument for options that do not
/// fit.
ImageBenchResult bench_image_step(const ImageBenchOptions& options);
std::string to_text(const ImageBenchResult& result, const ImageBenchOptions& options);
Json to_json(const ImageBenchResult& result, const ImageBenchOptions& options);

}  // namespace stamp
