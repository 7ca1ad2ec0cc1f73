#include "stamp/models/llama/decoder.h"

namespace stamp {
namespace {

class DecoderStream : public LayerStream {
 public:
  DecoderStream(std::shared_ptr<const ModelSource> source, const Recipe& recipe,
                DecoderBiases biases)
      : source_(std::move(source)),
        biases_(biases),
        stream_(stream_map(recipe, source_->config().hidden_size)),
        embedding_(embedding_weight(*source_).weight, 16),
        frequencies_(rope_frequencies(source_->config())) {}

  Matrix embed(std::span<const int32_t> ids) const override {
    Matrix x(static_cast<int64_t>(ids.size()), source_->config().hidden_size);
    embedding_.gather(ids, x.view());
    map_rows(x.view(), stream_);
    return x;
  }

  void load(int64_t index, const ModelOptions& options) override {
    layer_.reset();
    layer_.emplace(*source_, index, options, biases_);
  }

  void load_group(size_t index, const ModelOptions& options) override {
    layer_.value().load_group(*source_, index, options);
  }

  void run(size_t branch, Matrix& x, ForwardContext& context) const override {
    const LlmConfig& config = source_->config();
    DecoderWorkspace work{.rope = make_rope_table(frequencies_, 0, x.rows())};
    work.x = std::move(x);
    KvCache cache(1, config.kv_heads * config.head_dim, work.x.rows());
    LayerCache* const layer_cache = &cache.layer(0);
    if (branch == 0)
      layer_.value().attend({&layer_cache, 1}, work, context);
    else
      layer_.value().feed_forward(work, context);
    x = std::move(work.x);
  }

 private:
  std::shared_ptr<const ModelSource> source_;
  DecoderBiases biases_;
  FeatureMap stream_;
  Embedding embedding_;
  RopeFrequencies frequencies_;
  std::optional<DecoderLayer> layer_;
};

}  // namespace

std::unique_ptr<LayerStream> make_decoder_stream(std::shared_ptr<const ModelSource> source,
                                                 const Recipe& recipe, DecoderBiases biases) {
  return std::make_unique<DecoderStream>(std::move(source), recipe, biases);
}

}  // namespace stamp
