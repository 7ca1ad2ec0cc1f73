#pragma once
// A decoder language model: config, weights, forward. Const after load; caches and contexts are
// arguments.
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stamp/io/hf_config.h"
#include "stamp/io/tensor_store.h"
#include "stamp/nn/kv_cache.h"
#include "stamp/nn/linear.h"
#include "stamp/quant/low_rank.h"

namespace stamp {

/// Codes of weights that were not rounded one by one, by name ("layers.0.mlp.up_proj"), with the
/// branch of a recipe that has one (else empty).
struct CalibratedWeight {
  StoredWeightBuffer stored;
  LowRank branch;
};
using WeightCodes = std::map<std::string, CalibratedWeight>;

/// How the processes of communicator() share one model. kTensor: each has a part of the heads and
/// of the MLP's channels of every layer (and all of L, which acts on tokens), and computes every
/// token. kPipeline: each has some of the layers; hidden states go from one to the next, the last
/// one has the output. kNone: each has a model of its own.
enum class ModelSplit { kNone, kTensor, kPipeline };

struct ModelOptions {
  Recipe recipe;  // default: plain
  /// Needed when recipe.needs_calibration(); null: what stored weights came with.
  const Calibration* calibration = nullptr;
  const WeightCodes* codes = nullptr;  // needed when recipe.needs_weight_calibration()
  bool codes_pending = false;          // weights without codes stay at 16 bits for now
  Execution execution = Execution::kInteger;
  ModelSplit split = ModelSplit::kNone;
  int link_bits = 32;  // of hidden states between the parts of a pipeline (TokenCodec)
};

/// Tokens that follow what the cache of their sequence holds.
struct SequenceChunk {
  std::span<const int32_t> ids;
  KvCache* cache = nullptr;
};

class Model {
 public:
  virtual ~Model() = default;
  virtual const LlmConfig& config() const = 0;
  virtual const Recipe& recipe() const = 0;
  virtual ModelSplit split() const { return ModelSplit::kNone; }
  /// The process that has final hidden states and logits; where every one has them, the first.
  int output_process() const;
  bool has_output() const;
  /// Columns of K and V of a layer in this process.
  virtual int64_t kv_dim() const { return config().kv_heads * config().head_dim; }
  /// Hidden states after the final norm, [ids.size(), hidden_size], for tokens that follow what the
  /// cache holds; the cache is extended. Empty unless has_output(). Throws std::invalid_argument
  /// for ids out of range or a full cache.
  virtual Matrix forward(std::span<const int32_t> ids, KvCache& cache,
                         ForwardContext& context) const = 0;
  /// out[rows, vocab] = lm_head(hidden). Callers pass few rows at a time.
  virtual void logits(ConstFloatView hidden, FloatView out, ForwardContext& context) const = 0;
  /// `arena`: see KvCache.
  KvCache make_cache(int64_t capacity, std::shared_ptr<KvArena> arena = nullptr) const;
  /// Data and scale bits of all quantized linear inputs, and of K and V, for one sequence of
  /// `tokens`.
  virtual BitCount activation_bits(int64_t tokens) const = 0;
  virtual BitCount kv_bits(int64_t tokens) const = 0;
  /// What layer `layer` does to K and V.
  virtual const KvQuantizer& kv_quantizer(int64_t layer) const = 0;
  /// True when a part of the recipe runs on fp32 values rounded to its grids, not on integers.
  virtual bool simulated() const = 0;
  /// Bytes that a chunk of `tokens` takes on its way to the next process of a pipeline.
  virtual int64_t link_bytes(int64_t tokens) const { return (void)tokens, 0; }
  /// Bytes of weights that one generated token reads, output head included.
  virtual int64_t weight_bytes() const = 0;
  /// Lines worth telling the user: which Hadamard orders are used, what is excluded.
  virtual std::vector<std::string> notes() const = 0;
  /// forward() of several sequences at once, whose rows lie one after the other: weights are read
  /// once for all. What a sequence gets is, bit for bit, what it gets alone. Throws
  /// std::invalid_argument, changing no cache, also for one cache twice; after any other error the
  /// caches are of no use.
  virtual Matrix forward_all(std::span<const SequenceChunk> chunks,
                             ForwardContext& context) const = 0;
  /// logits(), where each row gets, bit for bit, what it gets alone.
  virtual void logits_of_each(ConstFloatView hidden, FloatView out,
                              ForwardContext& context) const = 0;
};

/// A model directory or GGUF file opened once: its weights are mapped and shared by every Model
/// made from it.
class ModelSource {
 public:
  /// Reads config.json and maps the weights. Throws std::runtime_error (see hf_config.h,
  /// model_files.h).
  static std::shared_ptr<const ModelSource> open(const std::filesystem::path& directory);
  const std::filesystem::path& directory() const { return directory_; }
  const LlmConfig& config() const { return config_; }
  const TensorStore& weights() const { return weights_; }
  /// The recipe that the weights were stored with by `stamp quantize`; null: plain weights.
  const Recipe* stored_recipe() const { return stored_recipe_ ? &*stored_recipe_ : nullptr; }
  /// What the stored recipe was calibrated with; empty when it needs no calibration.
  const Calibration& stored_calibration() const { return stored_calibration_; }
  /// SHA-256 of the config and of all weights, which are read at the first call.
  const std::string& identity() const;
  /// The recipe of the most exact model that can be made: plain, or with stored weights and
  /// everything else at 16 bits.
  Recipe reference_recipe() const;

 private:
  std::filesystem::path directory_;
  LlmConfig config_;
  TensorStore weights_;
  std::optional<Recipe> stored_recipe_;
  Calibration stored_calibration_;
  mutable std::once_flag identified_;
  mutable std::string identity_;
};

/// The model of config.architecture from the registry, with `options` applied. Stored weights can
/// only be used as stored: throws std::invalid_argument when the recipe treats weights otherwise
/// (see check_same_weights()). Throws std::runtime_error for an architecture that is not registered
/// (listing those that are), missing tensors or wrong shapes.
std::unique_ptr<Model> make_model(std::shared_ptr<const ModelSource> source,
                                  const ModelOptions& options = {});
std::vector<std::string> supported_architectures();

}  // namespace stamp
