#pragma once
// Keys and values of past tokens. Closed blocks of kv_block tokens hold what the recipe's codes decode to; the open
// block holds rows as they were computed (STAMP section 6).
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/quant/calibration.h"
#include "stamp/quant/recipe.h"
#include "stamp/quant/token_quantizer.h"

namespace stamp {

/// Quantizers of one layer's K and V; made once with the model.
struct KvQuantizer {
  TokenQuantizer k, v;
  int block = 64;  // 0: the whole chunk (paper protocol, not causal)
};
KvQuantizer make_kv_quantizer(const Recipe& recipe, int layer, const Calibration* calibration);

/// Cache of one layer: rows of kv_heads * head_dim floats.
struct LayerCache {
  Matrix k, v;                // as read by queries of later blocks; capacity rows, `tokens` valid
  Matrix open_k, open_v;      // rows of the block that is still open, unquantized; empty when KV is not quantized
};

class KvCache {
 public:
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
