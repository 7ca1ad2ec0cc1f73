#pragma once
// Qwen 2 and 2.5 (Qwen2ForCausalLM): Llama's decoder with biases on q, k and v.
#include "stamp/models/layer_stream.h"
#include "stamp/models/weights.h"

namespace stamp {

std::unique_ptr<Model> make_qwen2(std::shared_ptr<const ModelSource> source,
                                  const ModelOptions& options);
std::unique_ptr<LayerStream> make_qwen2_stream(std::shared_ptr<const ModelSource> source,
                                               const Recipe& recipe);

std::vector<LinearGroup> qwen2_groups(const LlmConfig& config);

}  // namespace stamp
