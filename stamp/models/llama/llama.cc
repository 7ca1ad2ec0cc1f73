#include "stamp/models/llama/llama.h"

#include "stamp/models/llama/decoder.h"

namespace stamp {
namespace {

DecoderBiases biases(const LlmConfig& config) {
  return {.qkv = config.attention_bias, .o = config.attention_bias, .mlp = config.mlp_bias};
}

}  // namespace

std::vector<LinearGroup> llama_groups(const LlmConfig& config) {
  return decoder_groups(config, biases(config));
}

std::unique_ptr<Model> make_llama(std::shared_ptr<const ModelSource> source,
                                  const ModelOptions& options) {
  const DecoderBiases own = biases(source->config());
  return std::make_unique<Decoder>(std::move(source), options, own);
}

std::unique_ptr<LayerStream> make_llama_stream(std::shared_ptr<const ModelSource> source,
                                               const Recipe& recipe) {
  const DecoderBiases own = biases(source->config());
  return make_decoder_stream(std::move(source), recipe, own);
}

}  // namespace stamp
