#pragma once
// Llama 3, 3.1, 3.2 and kin (LlamaForCausalLM).
#include "stamp/models/layer_stream.h"
#include "stamp/models/weights.h"

namespace stamp {

std::unique_ptr<Model> make_llama(std::shared_ptr<const ModelSource> source,
                                  const ModelOptions& options);
std::unique_ptr<LayerStream> make_llama_stream(std::shared_ptr<const ModelSource> source,
                                               const Recipe& recipe);

std::vector<LinearGroup> llama_groups(const LlmConfig& config);

}  // namespace stamp
