#include "stamp/models/llama/decoder.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/models/weights.h"
#include "stamp/nn/layers.h"
#include "stamp/nn/matmul.h"

namespace stamp {

Decoder::Decoder(std::shared_ptr<const ModelSource> source, const ModelOptions& options,
                 DecoderBiases biases)
    : source_(std::move(source)),
      config_(source_->config()),
      own_(own_part(config_, options)),
      recipe_(options.recipe),
      split_(split_of(options)),
      layers_here_{0, config_.layers},
      words_here_{0, config_.vocab_size},
      link_(options.link_bits, config_.hidden_size) {
  const int64_t hidden = config_.hidden_size;
  const LinearWeight embedding = embedding_weight(*source_);
  embedding_ = embedding.stored ? Embedding(*embedding.stored)
                                : Embedding(embedding.weight, recipe_.embedding_bits);
  Recipe head;
  head.weights = recipe_.lm_head;
  std::vector<LinearWeight> words = {lm_head_weight(*source_)};
  if (split_ == ModelSplit::kTensor) words_here_ = keep_own_words(words[0]);
  if (has_output())
    lm_head_.emplace("lm_head", std::move(words), head, nullptr, 0, options.execution);
  final_norm_ = checked_vector(*source_, "model.norm.weight", hidden);
  frequencies_ = rope_frequencies(config_);
  stream_ = stream_map(recipe_, hidden);
  if (!stream_.empty()) {  // the final norm's weights apply in the basis of the output head
    stream_back_[0].hadamard = inverse_of(*stream_.hadamard);
    stream_back_[1].scale = stream_.scale;
    for (size_t j = 0; j < final_norm_.size(); ++j)
      stream_back_[1].scale[j] *= std::exchange(final_norm_[j], 1.0f);
  }
  check_layers(recipe_, config_.layers);
  if (split_ == ModelSplit::kPipeline) layers_here_ = own_share(config_.layers);
  if (layers_here_.count == 0)
    throw_argument("pipeline: {} processes, but the model has {} layers", communicator().size(),
                   config_.layers);
  for (int64_t i = 0; i < layers_here_.count; ++i)
    layers_.emplace_back(*source_, layers_here_.first + i, options, biases);
}

namespace {

void observe(const std::string& name, const Matrix& x, ForwardContext& context) {
  if (context.observer) context.observer->on_hidden(name, x.view());
}

}  // namespace

void Decoder::check_chunks(std::span<const SequenceChunk> chunks) const {
  std::set<const KvCache*> caches;
  for (const auto& [ids, cache] : chunks) {
    const int64_t tokens = static_cast<int64_t>(ids.size());
    if (tokens == 0) throw_argument("model: expected at least one token id, got none");
    if (tokens > cache->capacity() - cache->tokens())
      throw_argument("model: the KV cache holds {} of {} tokens, {} more do not fit",
                     cache->tokens(), cache->capacity(), tokens);
    if (!caches.insert(cache).second) throw_argument("model: two sequences share a KV cache");
  }
}

Matrix Decoder::forward_all(std::span<const SequenceChunk> chunks, ForwardContext& context) const {
  check_chunks(chunks);
  std::vector<int32_t> ids;
  std::vector<SequenceRows> parts;
  for (const SequenceChunk& chunk : chunks) {
    ids.insert(ids.end(), chunk.ids.begin(), chunk.ids.end());
    parts.push_back({chunk.cache->tokens(), static_cast<int64_t>(chunk.ids.size())});
  }
  const int64_t tokens = static_cast<int64_t>(ids.size());
  const PhaseScope scope(context.phases, Phase::kOther);
  DecoderWorkspace work{.rows = std::span<const SequenceRows>(parts)};
  work.rope = make_rope_table(frequencies_, work.rows, tokens);
  begin(ids, work, context);
  std::vector<LayerCache*> caches(chunks.size());
  for (size_t i = 0; i < layers_.size(); ++i) {
    for (size_t j = 0; j < chunks.size(); ++j)
      caches[j] = &chunks[j].cache->layer(layers_here_.first + static_cast<int64_t>(i));
    layers_[i].attend(caches, work, context);
    layers_[i].feed_forward(work, context);
    observe(layers_[i].name(), work.x, context);
  }
  for (const auto& [own, cache] : chunks) cache->advance(static_cast<int64_t>(own.size()));
  finish(work, context);
  return std::move(work.x);
}

void Decoder::begin(std::span<const int32_t> ids, DecoderWorkspace& work,
                    ForwardContext& context) const {
  work.x.reshape(static_cast<int64_t>(ids.size()), config_.hidden_size);
  if (layers_here_.first > 0) {
    Communicator& processes = communicator();
    return link_.decode(processes.receive(processes.rank() - 1), work.rows, work.x.view());
  }
  embedding_.gather(ids, work.x.view());
  map_rows(work.x.view(), stream_);
  observe("embed", work.x, context);
}

/// To the next process, or through the final norm.
void Decoder::finish(DecoderWorkspace& work, ForwardContext& context) const {
  if (!has_output()) {
    Communicator& processes = communicator();
    processes.send(link_.encode(work.x.view(), work.rows), processes.rank() + 1);
    work.x.reshape(0, config_.hidden_size);
    return;
  }
  const PhaseScope norm(context.phases, Phase::kNorm);
  rms_norm_rows(work.x.view(), final_norm_, config_.rms_norm_eps, work.x.view());
  for (const FeatureMap& map : stream_back_) map_rows(work.x.view(), map);
  observe("final_norm", work.x, context);
}

/// The words that other processes have come from them.
void Decoder::head(ConstFloatView hidden, TokenRows rows, FloatView out,
                   ForwardContext& context) const {
  if (split_ != ModelSplit::kTensor)
    return lm_head_->forward_into(hidden, rows, out, false, context);
  Matrix own(hidden.rows, words_here_.count);
  lm_head_->forward_into(hidden, rows, own.view(), false, context);
  const std::vector<std::string> all = communicator().gather(
      {reinterpret_cast<const char*>(own.data()), static_cast<size_t>(own.size()) * sizeof(float)});
  int64_t first = 0;
  for (const std::string& part : all) {
    const auto count = static_cast<int64_t>(part.size() / sizeof(float)) / hidden.rows;
    for (int64_t i = 0; i < hidden.rows; ++i)
      std::memcpy(out.row(i) + first, part.data() + static_cast<size_t>(i * count) * sizeof(float),
                  static_cast<size_t>(count) * sizeof(float));
    first += count;
  }
}

void Decoder::logits(ConstFloatView hidden, FloatView out, ForwardContext& context) const {
  head(hidden, 0, out, context);
}

void Decoder::logits_of_each(ConstFloatView hidden, FloatView out, ForwardContext& context) const {
  const std::vector<SequenceRows> rows(static_cast<size_t>(hidden.rows), SequenceRows{0, 1});
  head(hidden, std::span<const SequenceRows>(rows), out, context);
}

BitCount Decoder::activation_bits(int64_t tokens) const {
  BitCount bits;
  for_each_linear([&](const Linear& linear) { bits.add(linear.count_bits(tokens)); });
  return bits;
}

BitCount Decoder::kv_bits(int64_t tokens) const {
  BitCount bits;
  for (const DecoderLayer& layer : layers_)
    bits.add(count_kv_bits(layer.kv(), tokens, kv_dim(), config_.head_dim));
  return bits;
}

bool Decoder::simulated() const {
  bool any = lm_head_ && lm_head_->simulated();
  for_each_linear([&](const Linear& linear) { any |= linear.simulated(); });
  return any;
}

int64_t Decoder::weight_bytes() const {
  int64_t bytes = lm_head_ ? lm_head_->weight_bytes() : 0;
  for_each_linear([&](const Linear& linear) { bytes += linear.weight_bytes(); });
  return bytes;
}

std::vector<std::string> Decoder::notes() const {
  std::vector<std::string> notes;
  if (split_ == ModelSplit::kTensor)
    notes.push_back(
        fmt::format("tensor split over {} processes: inputs of o and down are rotated in parts, as "
                    "rotation_parts "
                    "of a recipe does in one process",
                    communicator().size()));
  if (split_ == ModelSplit::kPipeline)
    notes.push_back(fmt::format("pipeline of {} processes, hidden states at {} bits between them",
                                communicator().size(), link_.bits()));
  for (const Linear& linear : layers_.front().linears()) {
    if (!linear.rotation()) continue;
    const std::string note =
        fmt::format("hadamard of {} inputs: {}", linear.in_dim(), linear.rotation()->description);
    if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
  }
  const auto note_rotation = [&](const char* part, auto rotation) {
    for (const DecoderLayer& layer : layers_)
      if ((layer.*rotation)().order > 1)
        return notes.push_back(
            fmt::format("hadamard of each head of {}: {}", part, (layer.*rotation)().description));
  };
  note_rotation("k", &DecoderLayer::k_rotation);
  note_rotation("v", &DecoderLayer::v_rotation);
  for (const DecoderLayer& layer : layers_)
    if (kv_storage(layer.kv(), config_.head_dim) == KvStorage::kSimulated) {
      notes.push_back(layer.name() +
                      " (and perhaps others): quantized K and V are simulated in fp32");
      break;
    }
  for_each_linear([&](const Linear& linear) {
    if (linear.excluded()) notes.push_back(linear.site() + " is excluded: not quantized");
  });
  return notes;
}

}  // namespace stamp
