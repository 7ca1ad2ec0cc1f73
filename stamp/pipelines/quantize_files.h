#pragma once
// The small files of a directory with stored weights.
#include <filesystem>
#include <string>
#include <vector>

#include "stamp/pipelines/quantize_plan.h"
#include "stamp/pipelines/work_directory.h"

namespace stamp {

/// "compressed-tensors" when nothing but weights is quantized, in a way that its pack-quantized
/// layout knows; else "stamp".
std::string quant_method(const Recipe& recipe, const OutputPlan& plan);

/// config.json of the source with quantization_config; embeddings as `plan` has them.
Json quantized_config(const ModelSource& source, const Recipe& recipe, const OutputPlan& plan);

/// A file that comes along as it is in the source; an empty path: told by the GGUF file that the
/// model is.
struct Companion {
  std::string name;
  std::filesystem::path path;
};
/// Tokenizer, generation config, licence, calibration text.
std::vector<Companion> companion_files(const std::filesystem::path& model);

/// Writes all but the shards and the statistics; the manifest, last, lists what `work` finished.
void write_small_files(const ModelSource& source, const Recipe& recipe, const OutputPlan& plan,
                       WorkDirectory& work);

}  // namespace stamp
