#pragma once
// Keys and values of past tokens: closed blocks of kv_block tokens as the recipe's codes, the open
// block as rows that were computed (STAMP section 6).
#include <string_view>
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/nn/kv_block.h"
#include "stamp/quant/calibration.h"
#include "stamp/quant/feature_transform.h"
#include "stamp/quant/recipe.h"
#include "stamp/quant/token_quantizer.h"

namespace stamp {

/// Quantizers of one layer's K and V; made once with the model.
struct KvQuantizer {
  TokenQuantizer k, v;
  int block = 64;           // 0: the whole chunk (paper protocol, not causal)
  int attention_bits = 16;  // 8 or 16: of queries and probabilities that meet packed codes

  bool active() const { return k.active() || v.active(); }
};
/// Throws std::runtime_error when the recipe needs statistics of this layer's K or V that
/// `calibration` lacks.
KvQuantizer make_kv_quantizer(const Recipe& recipe, int layer, const Calibration* calibration);

/// How each head of K or V is rotated, its own inverse. Order 1: not at all (also when the tensor
/// is not quantized). Throws std::invalid_argument when the group of `spec` does not divide
/// head_dim.
HadamardPlan plan_kv_rotation(const KvSpec& spec, int64_t head_dim);

/// plain: nothing is quantized, rows are fp32. packed: codes as counted; a part of 16 bits stays
/// fp32 rows. simulated: fp32 rows of what the codes would decode to, wherever the packed form does
/// not cover the recipe (kv_block other than 64, or see kv_packable()).
enum class KvStorage { kPlain, kPacked, kSimulated };
KvStorage kv_storage(const KvQuantizer& quantizer, int64_t head_dim);
std::string_view kv_storage_name(KvStorage storage);

/// Bits of one layer's K and V after `tokens` tokens. Closed packed blocks count every byte that
/// they take; rows of the open block and of parts that are not quantized count 16 bits per element.
BitCount count_kv_bits(const KvQuantizer& quantizer, int64_t tokens, int64_t kv_dim,
                       int64_t head_dim);

/// Cache of one layer; attention() fills it.
struct LayerCache {
  int64_t capacity = 0, kv_dim = 0;
  int64_t tokens = 0;
  int64_t block = 0;  // tokens of a closed block; 0: rows never change
  /// Rows as computed (a packed part: of the open block only) or simulated; made at first use.
  Matrix k, v;
  std::vector<std::shared_ptr<const KvBlock>> blocks;            // closed and packed
  std::shared_ptr<const KvHeadLayout> layout;                    // of blocks without sinks
  std::shared_ptr<KvArena> arena = std::make_shared<KvArena>();  // of new blocks

  /// Storage for tokens of a layer with this quantizer; the cache must be empty.
  void make_storage(const KvQuantizer& quantizer, int64_t head_dim);
  /// Of the packed block whose first token is `first`.
  std::shared_ptr<const KvHeadLayout> layout_at(const KvQuantizer& quantizer, int64_t head_dim,
                                                int64_t first) const;
  /// Rows of k and of v that hold something.
  int64_t k_rows() const;
  int64_t v_rows() const;
  /// Tokens at the end that could be taken away one by one: those of the open block.
  int64_t open_tokens() const { return block > 0 ? tokens % block : tokens; }
  /// The first `count` tokens; see KvCache::fork().
  LayerCache fork(int64_t count, std::shared_ptr<KvArena> new_blocks) const;
  void clear();
  /// Memory that holds tokens.
  int64_t bytes() const;
};

/// kKvBlockTokens tokens of all layers, which caches share; never changes.
struct KvPage {
  struct Layer {
    int64_t block = 0;                           // LayerCache::block
    std::shared_ptr<const KvBlock> packed;       // null: K and V are rows
    std::shared_ptr<const KvHeadLayout> layout;  // LayerCache::layout
    Matrix k, v;                                 // rows of the parts that are not packed
  };
  int64_t index = 0;  // of its first token, in pages
  std::vector<Layer> layers;

  int64_t bytes() const;
};

class KvCache {
 public:
  /// Room for `capacity` tokens; memory grows with use. Packed blocks lie in `arena` (null: one of
  /// the cache's own). Throws std::invalid_argument for sizes below 1.
  KvCache(int64_t layers, int64_t kv_dim, int64_t capacity,
          std::shared_ptr<KvArena> arena = nullptr);
  KvCache(KvCache&&) = default;
  KvCache& operator=(KvCache&&) = default;

  int64_t tokens() const { return tokens_; }
  int64_t capacity() const { return capacity_; }
  int64_t layers() const { return static_cast<int64_t>(layers_.size()); }
  LayerCache& layer(int64_t i) { return layers_[static_cast<size_t>(i)]; }
  const LayerCache& layer(int64_t i) const { return layers_[static_cast<size_t>(i)]; }
  /// Called by the model once all layers have appended `count` tokens.
  void advance(int64_t count) { tokens_ += count; }
  void clear();

  /// The longest prefix of at most `tokens` tokens that fork() can take: the open block's rows are
  /// lost when it closes, so that it is a multiple of the block or lies in the open one.
  int64_t forkable(int64_t tokens) const;
  /// A cache of the same capacity that holds the first `tokens` tokens. Closed packed blocks are
  /// shared, rows copied; the two caches then grow apart. Throws std::invalid_argument unless
  /// forkable(tokens) == tokens.
  KvCache fork(int64_t tokens) const;
  /// Whole pages of which no token will change any more; page(i) exists for i below that.
  int64_t pages() const;
  /// Tokens [64 i, 64 (i + 1)): packed blocks are shared, rows copied. Throws std::invalid_argument
  /// unless i < pages().
  std::shared_ptr<const KvPage> page(int64_t i) const;
  /// Goes on with a page of another cache of the same model, as if its tokens had been computed
  /// here. Throws std::invalid_argument when the page does not follow what the cache holds, does
  /// not fit into it, or has another shape.
  void append(const KvPage& page);
  /// Memory that holds tokens, shared blocks included.
  int64_t bytes() const;

 private:
  void check_follows(const KvPage& page) const;

  int64_t tokens_ = 0, capacity_ = 0;
  std::vector<LayerCache> layers_;
};

}  // namespace stamp
