#pragma once
// A model directory with stored (packed, quantized) weights, made from a plain one layer by layer.
#include <filesystem>
#include <string>

#include "stamp/io/json.h"
#include "stamp/quant/recipe.h"

namespace stamp {

struct QuantizeOptions {
  std::filesystem::path model, out;
  std::filesystem::path calibration;  // empty: MODEL/calibration.txt when the recipe needs one
  Recipe recipe;
  bool force = false;   // replace `out` when it exists
  std::string command;  // for the manifest
};

/// What quantizing would do.
struct QuantizeEstimate {
  int64_t source_bytes = 0, output_bytes = 0;
  int64_t weights = 0;            // elements that will be stored in codes
  double bits_per_weight = 0;     // of those, scales included
  int64_t files = 0;              // safetensors files
  int64_t peak_bytes = 0;         // resident memory, file pages included
  int64_t calibration_bytes = 0;  // the same during calibration; 0: none is needed
  double seconds = 0;             // without calibration and gptq; from a short measurement
  std::string format;             // quant_method of config.json
};

struct QuantizeResult {
  QuantizeEstimate sizes;
  int64_t resumed_files = 0;  // finished by an earlier run and found unharmed
  double seconds = 0;
  int64_t peak_rss_bytes = 0;
};

/// Sizes, memory and time of quantize(); writes nothing. Throws as quantize() does for the model
/// and the recipe.
QuantizeEstimate estimate_quantize(const QuantizeOptions& options);

/// Writes `out`: an ordinary model directory with one safetensors file per layer, config.json with
/// quantization_config, recipe.json, tokenizer, statistics (see calibration_file.h) and
/// manifest.json with the SHA-256 of every file. It grows in OUT.partial and takes its name at the
/// end; run again with the same model and recipe after any interruption, it keeps the finished
/// files and ends with the same bytes. Memory stays near a block of rows whatever the model's size,
/// but calibration maps the whole plain model. Throws std::invalid_argument for a model that is
/// quantized already, a recipe without stored weights, an existing `out` without `force` and an
/// OUT.partial of another model or recipe; std::runtime_error for files, a full disk, another
/// writer, and after interrupted().
QuantizeResult quantize(const QuantizeOptions& options);

Json to_json(const QuantizeEstimate& estimate);
Json to_json(const QuantizeResult& result);
std::string to_text(const QuantizeEstimate& estimate, const QuantizeOptions& options);
std::string to_text(const QuantizeResult& result, const QuantizeOptions& options);

}  // namespace stamp
