#pragma once
// Qwen 2 and 2.5 (Qwen2ForCausalLM): Llama's decoder with biases on q, k and v.
#include "stamp/models/model.h"

namespace stamp {

std::unique_ptr<Model> make_qwen2(std::shared_ptr<const ModelSource> source,
                                  const ModelOptions& options);

}  // namespace stamp
