#pragma once
// Which tensors a directory with stored weights holds, and in which file.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "stamp/models/model.h"
#include "stamp/quant/calibration.h"
#include "stamp/quant/feature_map.h"

namespace stamp {

/// A tensor that is copied, or a weight that is stored in codes.
struct OutputTensor {
  std::string name;  // copied: of the tensor; stored: without ".weight"
  TensorView source;
  WeightSpec spec;                 // 16 bits: copied
  FeatureMap map, output;          // of the weight's input and output
  std::optional<TensorView> bias;  // the weight's own
  std::vector<float> clips;        // RowClips

  bool is_stored() const { return spec.bits < 16; }
  /// Type of a copy: that of the source, of blocks (which a directory cannot hold) F16.
  DType copied_type() const { return dtype_block(source.dtype) > 1 ? DType::kF16 : source.dtype; }
  /// Names, types and shapes of what is written; no data.
  std::map<std::string, TensorView> layout() const;
};

struct OutputShard {
  std::string file;  // "model-00001-of-00018.safetensors"
  std::vector<OutputTensor> tensors;
  int64_t layer = -1;  // -1: of no layer

  std::map<std::string, TensorView> layout() const;
  int64_t file_bytes() const;
  int64_t source_bytes() const;
};

inline const std::map<std::string, std::string> kShardMetadata = {{"format", "pt"}};

struct OutputPlan {
  std::vector<OutputShard> shards;  // embeddings and what belongs to no layer; layers; lm_head
  bool ties_embeddings = false;     // false also when lm_head was tied but is now stored apart
  std::vector<std::string> plain;   // linears without codes: "model.layers.0.mlp.down_proj"
  bool groups_are_whole = true;     // every row of every weight is a multiple of its scale group
};

/// Without `calibration` (null) the plan of a recipe that needs one has the right tensors for
/// estimates only. Throws std::runtime_error when the model lacks tensors or their shapes are
/// wrong.
OutputPlan plan_output(const ModelSource& source, const Recipe& recipe,
                       const Calibration* calibration);

}  // namespace stamp
