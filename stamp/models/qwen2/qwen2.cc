#include "stamp/models/qwen2/qwen2.h"

#include "stamp/models/llama/decoder.h"

namespace stamp {
namespace {

constexpr DecoderBiases kBiases = {.qkv = true};

}  // namespace

std::vector<LinearGroup> qwen2_groups(const LlmConfig& config) {
  return decoder_groups(config, kBiases);
}

std::unique_ptr<Model> make_qwen2(std::shared_ptr<const ModelSource> source,
                                  const ModelOptions& options) {
  return std::make_unique<Decoder>(std::move(source), options, kBiases);
}

std::unique_ptr<LayerStream> make_qwen2_stream(std::shared_ptr<const ModelSource> source,
                                               const Recipe& recipe) {
  return make_decoder_stream(std::move(source), recipe, kBiases);
}

}  // namespace stamp
