#pragma once
// Keys and values of past tokens. Closed blocks of kv_block tokens hold what the recipe's codes
// decode to; the open block holds rows as they were computed (STAMP section 6).
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/quant/calibration.h"
#include "stamp/quant/feature_transform.h"
#include "stamp/quant/recipe.h"
#include "stamp/quant/token_quantizer.h"

namespace stamp {

/// Quantizers of one layer's K and V; made once with the model.
struct KvQuantizer {
  TokenQuantizer k, v;
  int block = 64;  // 0: the whole chunk (paper protocol, not causal)

  bool active() const { return k.active() || v.active(); }
};
/// Throws std::runtime_error when the recipe needs statistics of this layer's K or V that
/// `calibration` lacks.
KvQuantizer make_kv_quantizer(const Recipe& recipe, int layer, const Calibration* calibration);

/// How each head of K or V is rotated, its own inverse. Order 1: not at all (also when the tensor
/// is not quantized). Throws std::invalid_argument when the group of `spec` does not divide
/// head_dim.
HadamardPlan plan_kv_rotation(const KvSpec& spec, int64_t head_dim);

/// Bits of one layer's K and V after `tokens` tokens; rows of the open block count 16 bits per
/// element.
BitCount count_kv_bits(const KvQuantizer& quantizer, int64_t tokens, int64_t kv_dim,
                       int64_t head_dim);

/// Cache of one layer: [capacity, kv_heads * head_dim] each, of which KvCache::tokens() rows are
/// valid.
struct LayerCache {
  Matrix k, v;
};

class KvCache {
 public:
  /// Room for `capacity` tokens; memory is touched only as it fills. Throws std::invalid_argument
  /// for sizes below 1.
  KvCache(int64_t layers, int64_t kv_dim, int64_t capacity);
  int64_t tokens() const { return tokens_; }
  int64_t capacity() const { return capacity_; }
  LayerCache& layer(int64_t i) { return layers_[static_cast<size_t>(i)]; }
  /// Called by the model once all layers have appended `count` tokens.
  void advance(int64_t count) { tokens_ += count; }
  void clear() { tokens_ = 0; }

 private:
  int64_t tokens_ = 0, capacity_ = 0;
  std::vector<LayerCache> layers_;
};

}  // namespace stamp
