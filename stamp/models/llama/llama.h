#pragma once
// Llama 3, 3.1, 3.2 and kin (LlamaForCausalLM).
#include "stamp/models/model.h"

namespace stamp {

std::unique_ptr<Model> make_llama(std::shared_ptr<const ModelSource> source,
                                  const ModelOptions& options);

}  // namespace stamp
