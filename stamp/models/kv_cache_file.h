#pragma once
// A K/V cache as named tensors and back. Of layer N: "layers.N.k" and "layers.N.v", F32
// [rows, kv_dim], the rows that LayerCache holds; "layers.N.blocks", U8 [bytes], its closed packed
// blocks one after the other, each as KvBlock::data. What would be empty is not there.
#include <functional>
#include <map>
#include <string>

#include "stamp/io/tensor_store.h"
#include "stamp/nn/kv_cache.h"

namespace stamp {

/// A tensor whose bytes lie in several places.
struct ScatteredTensor {
  TensorView view;  // data is null
  std::vector<std::string_view> pieces;
};
/// Views of what `cache` holds, by name.
std::map<std::string, ScatteredTensor> kv_cache_tensors(const KvCache& cache);

/// Makes an empty `cache` hold `tokens` tokens, as it was written by a model whose layer i has the
/// quantizers `quantizer_of(i)`. Nothing is allocated before sizes are known to fit; any bytes are
/// taken for codes, scales and rows. Throws std::runtime_error naming the file and the tensor that
/// is missing or has another type or size, std::invalid_argument when the cache is not empty or
/// too small.
void read_kv_cache(const TensorStore& file,
                   const std::function<const KvQuantizer&(int64_t)>& quantizer_of, int64_t head_dim,
                   int64_t tokens, KvCache& cache);

}  // namespace stamp
