#include "stamp/models/model.h"

#include "stamp/core/error.h"

namespace stamp {

KvCache Model::make_cache(int64_t capacity) const {
  const LlmConfig& c = config();
  if (capacity > c.max_positions)
    throw_argument("KV cache: the model has {} positions, got a capacity of {}", c.max_positions,
                   capacity);
  return KvCache(c.layers, c.kv_heads * c.head_dim, capacity);
}

std::shared_ptr<const ModelSource> ModelSource::open(const std::filesystem::path& directory) {
  auto source = std::make_shared<ModelSource>();
  source->directory_ = directory;
  source->config_ = read_llm_config(directory);
  source->weights_ = Safetensors::open_model(directory);
  return source;
}

}  // namespace stamp
