#pragma once
// The pre-norm decoder with rotary positions, grouped-query attention and a gated MLP.
#include <array>

#include "stamp/models/layer_stream.h"
#include "stamp/models/llama/decoder_layer.h"
#include "stamp/nn/embedding.h"

namespace stamp {

class Decoder : public Model {
 public:
  /// Throws std::runtime_error for missing tensors and wrong shapes or types.
  Decoder(std::shared_ptr<const ModelSource> source, const ModelOptions& options,
          DecoderBiases biases);

  const LlmConfig& config() const override { return config_; }
  const Recipe& recipe() const override { return recipe_; }
  Matrix forward(std::span<const int32_t> ids, KvCache& cache,
                 ForwardContext& context) const override {
    const SequenceChunk chunk{ids, &cache};
    return forward_all({&chunk, 1}, context);
  }
  void logits(ConstFloatView hidden, FloatView out, ForwardContext& context) const override;
  BitCount activation_bits(int64_t tokens) const override;
  BitCount kv_bits(int64_t tokens) const override;
  bool simulated() const override;
  int64_t weight_bytes() const override;
  std::vector<std::string> notes() const override;
  Matrix forward_all(std::span<const SequenceChunk> chunks, ForwardContext& context) const override;
  void logits_of_each(ConstFloatView hidden, FloatView out, ForwardContext& context) const override;

 private:
  void check_chunks(std::span<const SequenceChunk> chunks) const;
  /// Calls body(linear) for every quantized linear.
  template <class Body>
  void for_each_linear(Body&& body) const {
    for (const DecoderLayer& layer : layers_)
      for (const Linear& linear : layer.linears()) body(linear);
  }

  std::shared_ptr<const ModelSource> source_;
  LlmConfig config_;
  Recipe recipe_;
  Embedding embedding_;
  FeatureMap stream_;                      // of the residual stream, after the embedding
  std::array<FeatureMap, 2> stream_back_;  // one after the other, after the final norm
  std::optional<Linear> lm_head_;
  std::vector<float> inverse_frequencies_, final_norm_;
  std::vector<DecoderLayer> layers_;
};

/// The layers of such a model one at a time.
std::unique_ptr<LayerStream> make_decoder_stream(std::shared_ptr<const ModelSource> source,
                                                 const Recipe& recipe, DecoderBiases biases);

}  // namespace stamp
