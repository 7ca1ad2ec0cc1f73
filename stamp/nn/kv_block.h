#pragma once
// Packed K and V of 64 tokens of one layer. Never changes once filled, so that caches may share it.
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/nn/kv_layout.h"

namespace stamp {

/// Memory of blocks, in pieces of huge pages: page walks are an eighth of decoding at long contexts
/// otherwise. Blocks that nobody holds any more make room for others of their size; the pieces live
/// as long as the arena or a block. For any number of threads.
class KvArena {
 public:
  /// `bytes` bytes, 64-byte aligned, not initialised. Throws std::bad_alloc.
  std::shared_ptr<uint8_t> take(int64_t bytes);
  /// Bytes of the blocks that somebody holds.
  int64_t bytes_in_use() const;

 private:
  struct Pool {
    mutable std::mutex guard;
    std::vector<AlignedBuffer> pieces;
    uint8_t* end = nullptr;
    int64_t left = 0;  // bytes of the last piece before its end
    int64_t in_use = 0;
    std::map<int64_t, std::vector<uint8_t*>> free;  // by size

    uint8_t* take(int64_t bytes);
    void give_back(uint8_t* memory, int64_t bytes) noexcept;
  };
  std::shared_ptr<Pool> pool_ = std::make_shared<Pool>();
};

struct KvBlock {
  std::shared_ptr<const KvHeadLayout> layout;
  int64_t heads = 0;
  std::shared_ptr<uint8_t> data;  // [heads][layout->bytes]

  const uint8_t* head(int64_t i) const { return data.get() + i * layout->bytes; }
  int64_t bytes() const { return heads * layout->bytes; }
};
/// A block that is not filled yet.
KvBlock new_kv_block(std::shared_ptr<const KvHeadLayout> layout, int64_t heads, KvArena& arena);
KvBlock copy_kv_block(const KvBlock& block, KvArena& arena);

/// Transforms, quantizes and packs rows [64, heads * head_dim] that start at absolute token `first`
/// into `block`, whose layout is that of this token. The codes decode to what
/// TokenQuantizer::apply() leaves. A view of an inactive part is not read. Runs on all threads.
void fill_kv_block(const TokenQuantizer& k_quantizer, const TokenQuantizer& v_quantizer,
                   ConstFloatView k, ConstFloatView v, int64_t first, const KvBlock& block);

}  // namespace stamp
