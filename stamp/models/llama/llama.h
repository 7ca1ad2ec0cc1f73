#pragma once
// Llama 3, 3.1, 3.2 and kin (LlamaForCausalLM).
#include "stamp/models/weights.h"

namespace stamp {

std::unique_ptr<Model> make_llama(std::shared_ptr<const ModelSource> source,
                                  const ModelOptions& options);

std::vector<LinearGroup> llama_groups(const LlmConfig& config);

}  // namespace stamp
