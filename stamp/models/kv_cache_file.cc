#include "stamp/models/kv_cache_file.h"

#include <cstring>

#include "stamp/core/error.h"

namespace stamp {
namespace {

std::string layer_name(int64_t layer, const char* part) {
  return fmt::format("layers.{}.{}", layer, part);
}

std::string_view bytes_of(const void* data, int64_t bytes) {
  return {static_cast<const char*>(data), static_cast<size_t>(bytes)};
}

ScatteredTensor rows_tensor(const Matrix& rows, int64_t used) {
  return {{DType::kF32, {used, rows.cols()}, nullptr},
          {bytes_of(rows.data(), used * rows.cols() * static_cast<int64_t>(sizeof(float)))}};
}

/// Tensors of a file that have to be as expected.
class CheckedTensors {
 public:
  explicit CheckedTensors(const TensorStore& file) : file_(file) {}

  const TensorView& at(const std::string& name, DType dtype, const Shape& shape) const {
    const TensorView& tensor = file_.at(name);
    if (tensor.dtype != dtype || tensor.shape != shape)
      throw_runtime("{}: tensor '{}': expected {} {}, got {} {}", file_.source().string(), name,
                    dtype_name(dtype), to_string(shape), dtype_name(tensor.dtype),
                    to_string(tensor.shape));
    return tensor;
  }

 private:
  const TensorStore& file_;
};

void read_rows(const CheckedTensors& file, const std::string& name, int64_t used, Matrix& rows) {
  if (used == 0) return;
  const TensorView& tensor = file.at(name, DType::kF32, {used, rows.cols()});
  std::memcpy(rows.data(), tensor.data, static_cast<size_t>(tensor.bytes()));
}

void read_blocks(const CheckedTensors& file, const std::string& name, const KvQuantizer& quantizer,
                 int64_t head_dim, LayerCache& layer) {
  if (!layer.layout) return;
  std::vector<std::shared_ptr<const KvHeadLayout>> layouts;
  int64_t bytes = 0;
  const int64_t heads = layer.kv_dim / head_dim;
  for (int64_t first = 0; first + kKvBlockTokens <= layer.tokens; first += kKvBlockTokens) {
    layouts.push_back(layer.layout_at(quantizer, head_dim, first));
    bytes += layouts.back()->bytes * heads;
  }
  if (layouts.empty()) return;
  const auto* next = file.at(name, DType::kU8, {bytes}).as<uint8_t>();
  for (auto& layout : layouts) {
    const KvBlock block = new_kv_block(std::move(layout), heads, *layer.arena);
    std::memcpy(block.data.get(), next, static_cast<size_t>(block.bytes()));
    next += block.bytes();
    layer.blocks.push_back(std::make_shared<const KvBlock>(block));
  }
}

}  // namespace

std::map<std::string, ScatteredTensor> kv_cache_tensors(const KvCache& cache) {
  std::map<std::string, ScatteredTensor> tensors;
  for (int64_t i = 0; i < cache.layers(); ++i) {
    const LayerCache& layer = cache.layer(i);
    if (layer.k_rows() > 0) tensors[layer_name(i, "k")] = rows_tensor(layer.k, layer.k_rows());
    if (layer.v_rows() > 0) tensors[layer_name(i, "v")] = rows_tensor(layer.v, layer.v_rows());
    ScatteredTensor blocks{{DType::kU8, {0}, nullptr}, {}};
    for (const auto& block : layer.blocks) {
      blocks.pieces.push_back(bytes_of(block->data.get(), block->bytes()));
      blocks.view.shape[0] += block->bytes();
    }
    if (!blocks.pieces.empty()) tensors[layer_name(i, "blocks")] = std::move(blocks);
  }
  return tensors;
}

void read_kv_cache(const TensorStore& file,
                   const std::function<const KvQuantizer&(int64_t)>& quantizer_of, int64_t head_dim,
                   int64_t tokens, KvCache& cache) {
  if (cache.tokens() != 0 || tokens < 1 || tokens > cache.capacity())
    throw_argument("KV cache: {} tokens of a file do not fit, {} of {} are in use", tokens,
                   cache.tokens(), cache.capacity());
  const CheckedTensors tensors(file);
  for (int64_t i = 0; i < cache.layers(); ++i) {
    LayerCache& layer = cache.layer(i);
    const KvQuantizer& quantizer = quantizer_of(i);
    layer.make_storage(quantizer, head_dim);
    layer.tokens = tokens;
    read_blocks(tensors, layer_name(i, "blocks"), quantizer, head_dim, layer);
    read_rows(tensors, layer_name(i, "k"), layer.k_rows(), layer.k);
    read_rows(tensors, layer_name(i, "v"), layer.v_rows(), layer.v);
  }
  cache.advance(tokens);
}

}  // namespace stamp
