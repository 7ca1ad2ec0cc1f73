#include "stamp/models/llama/llama.h"

#include "stamp/models/llama/decoder.h"

namespace stamp {

std::unique_ptr<Model> make_llama(std::shared_ptr<const ModelSource> source,
                                  const ModelOptions& options) {
  const bool attention = source->config().attention_bias, mlp = source->config().mlp_bias;
  return std::make_unique<Decoder>(std::move(source), options,
                                   DecoderBiases{.qkv = attention, .o = attention, .mlp = mlp});
}

}  // namespace stamp
