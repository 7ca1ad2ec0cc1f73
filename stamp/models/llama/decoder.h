#pragma once
// The pre-norm decoder with rotary positions, grouped-query attention and a gated MLP.
#include <array>

#include "stamp/models/layer_stream.h"
#include "stamp/models/llama/decoder_layer.h"
#include "stamp/models/model_split.h"
#include "stamp/nn/embedding.h"
#include "stamp/quant/token_codec.h"

namespace stamp {

class Decoder : public Model {
 public:
  /// Throws std::runtime_error for missing tensors and wrong shapes or types.
  Decoder(std::shared_ptr<const ModelSource> source, const ModelOptions& options,
          DecoderBiases biases);

  const LlmConfig& config() const override { return config_; }
  const Recipe& recipe() const override { return recipe_; }
  ModelSplit split() const override { return split_; }
  int64_t kv_dim() const override { return own_.kv_heads * own_.head_dim; }
  Matrix forward(std::span<const int32_t> ids, KvCache& cache,
                 ForwardContext& context) const override {
    const SequenceChunk chunk{ids, &cache};
    return forward_all({&chunk, 1}, context);
  }
  void logits(ConstFloatView hidden, FloatView out, ForwardContext& context) const override;
  BitCount activation_bits(int64_t tokens) const override;
  BitCount kv_bits(int64_t tokens) const override;
  const KvQuantizer& kv_quantizer(int64_t layer) const override {
    return layers_.at(static_cast<size_t>(layer)).kv();
  }
  bool simulated() const override;
  int64_t weight_bytes() const override;
  int64_t link_bytes(int64_t tokens) const override {
    return split_ == ModelSplit::kPipeline ? link_.bytes(tokens, 0) : 0;
  }
  std::vector<std::string> notes() const override;
  Matrix forward_all(std::span<const SequenceChunk> chunks, ForwardContext& context) const override;
  void logits_of_each(ConstFloatView hidden, FloatView out, ForwardContext& context) const override;

 private:
  void check_chunks(std::span<const SequenceChunk> chunks) const;
  /// work.x := the residual stream before this process's layers.
  void begin(std::span<const int32_t> ids, DecoderWorkspace& work, ForwardContext& context) const;
  void finish(DecoderWorkspace& work, ForwardContext& context) const;
  void head(ConstFloatView hidden, TokenRows rows, FloatView out, ForwardContext& context) const;
  /// Calls body(linear) for every quantized linear.
  template <class Body>
  void for_each_linear(Body&& body) const {
    for (const DecoderLayer& layer : layers_)
      for (const Linear& linear : layer.linears()) body(linear);
  }

  std::shared_ptr<const ModelSource> source_;
  LlmConfig config_, own_;  // of the model, of this process's part of a layer
  Recipe recipe_;
  ModelSplit split_;
  Share layers_here_, words_here_;  // of the layers and of the vocabulary
  TokenCodec link_;
  Embedding embedding_;
  FeatureMap stream_;                      // of the residual stream, after the embedding
  std::array<FeatureMap, 2> stream_back_;  // one after the other, after the final norm
  std::optional<Linear> lm_head_;
  RopeFrequencies frequencies_;
  std::vector<float> final_norm_;
  std::vector<DecoderLayer> layers_;  // layers_here_
};

/// The layers of such a model one at a time.
std::unique_ptr<LayerStream> make_decoder_stream(std::shared_ptr<const ModelSource> source,
                                                 const Recipe& recipe, DecoderBiases biases);

}  // namespace stamp
