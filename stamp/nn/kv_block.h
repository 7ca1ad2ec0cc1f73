#pragma once
// Packed K and V of 64 tokens of one layer. Never changes once made, so that caches may share it.
#include <memory>

#include "stamp/core/tensor.h"
#include "stamp/nn/kv_layout.h"

namespace stamp {

struct KvBlock {
  std::shared_ptr<const KvHeadLayout> layout;
  int64_t heads = 0;
  AlignedBuffer data;  // [heads][layout->bytes]

  const uint8_t* head(int64_t i) const {
    return static_cast<const uint8_t*>(data.data()) + i * layout->bytes;
  }
  int64_t bytes() const { return heads * layout->bytes; }
};

/// Transforms, quantizes and packs rows [64, heads * head_dim] that start at absolute token
/// `first`; `layout` is that of this token. The codes decode to what TokenQuantizer::apply()
/// leaves. A view of an inactive part is not read. Runs on all threads.
KvBlock make_kv_block(const TokenQuantizer& k_quantizer, const TokenQuantizer& v_quantizer,
                      std::shared_ptr<const KvHeadLayout> layout, ConstFloatView k,
                      ConstFloatView v, int64_t heads, int64_t first);

}  // namespace stamp
