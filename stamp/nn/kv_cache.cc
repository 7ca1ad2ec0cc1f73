#include "stamp/nn/kv_cache.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/nn/site_statistics.h"

namespace stamp {

KvQuantizer make_kv_quantizer(const Recipe& recipe, int layer, const Calibration* calibration) {
  const auto make = [&](const char* part) {
    const std::string site = fmt::format("layers.{}.{}", layer, part);
    return make_token_quantizer(spec_of_site(recipe, site), site, calibration);
  };
  return {make("k"), make("v"), recipe.kv_block, recipe.attention_bits};
}

HadamardPlan plan_kv_rotation(const KvSpec& spec, int64_t head_dim) {
  if (spec.bits == 16 || spec.rotation == "none") return {};
  const int64_t group = spec.quantizer.block;
  if (spec.rotation == "group" && (group < 1 || head_dim % group != 0))
    throw_argument("recipe: rotation: groups of {} do not divide heads of {}", group, head_dim);
  const int64_t order = spec.rotation == "group" ? group : head_dim & -head_dim;
  const int64_t blocks = head_dim / order;
  return {order, 1, false,
          blocks == 1 ? fmt::format("H_{}", order) : fmt::format("I_{} x H_{}", blocks, order)};
}

KvStorage kv_storage(const KvQuantizer& quantizer, int64_t head_dim) {
  if (!quantizer.active()) return KvStorage::kPlain;
  if (quantizer.block != kKvBlockTokens) return KvStorage::kSimulated;
  for (const TokenQuantizer* part : {&quantizer.k, &quantizer.v})
    if (part->active() && !kv_packable(*part, head_dim)) return KvStorage::kSimulated;
  return KvStorage::kPacked;
}

std::string_view kv_storage_name(KvStorage storage) {
  constexpr std::string_view kNames[] = {"plain", "packed", "simulated"};
  return kNames[static_cast<size_t>(storage)];
}

namespace {

BitCount plain_bits(int64_t elements) {
  return {16.0 * static_cast<double>(elements), 0, elements};
}

/// Bits of the closed block that starts at token `first`.
BitCount count_packed(const KvQuantizer& quantizer, int64_t first, int64_t kv_dim,
                      int64_t head_dim) {
  const BitCount head = make_kv_layout(quantizer.k, quantizer.v, head_dim, first).count_bits();
  const int64_t heads = kv_dim / head_dim;
  BitCount bits{head.data_bits * static_cast<double>(heads),
                head.scale_bits * static_cast<double>(heads), head.elements * heads};
  bits.add(plain_bits(2 * kKvBlockTokens * kv_dim - bits.elements));
  return bits;
}

}  // namespace

BitCount count_kv_bits(const KvQuantizer& quantizer, int64_t tokens, int64_t kv_dim,
                       int64_t head_dim) {
  const bool packed = kv_storage(quantizer, head_dim) == KvStorage::kPacked;
  const int64_t block = quantizer.block > 0 ? quantizer.block : std::max<int64_t>(tokens, 1);
  BitCount bits;
  for (int64_t first = 0; first + block <= tokens; first += block) {
    if (packed) {
      bits.add(count_packed(quantizer, first, kv_dim, head_dim));
      continue;
    }
    for (const TokenQuantizer* part : {&quantizer.k, &quantizer.v})
      bits.add(part->count_bits(block, kv_dim, first, head_dim));
  }
  bits.add(plain_bits(2 * (tokens % block) * kv_dim));
  return bits;
}

namespace {

/// The first `used` rows of `rows`, in a matrix as large.
Matrix copy_rows(const Matrix& rows, int64_t used) {
  Matrix result(rows.rows(), rows.cols());
  std::copy_n(rows.data(), used * rows.cols(), result.data());
  return result;
}

/// Rows of one part that hold something after `tokens` tokens.
int64_t used_rows(const Matrix& rows, const KvPartLayout* packed, int64_t tokens) {
  if (rows.rows() == 0) return 0;
  return packed && packed->head_dim > 0 ? tokens % kKvBlockTokens : tokens;
}

/// Start of the first block in which neither K nor V has sinks.
int64_t first_without_sinks(const KvQuantizer& quantizer) {
  const int64_t skip =
      std::max(quantizer.k.spec().sequence.skip_tokens, quantizer.v.spec().sequence.skip_tokens);
  return (skip + kKvBlockTokens - 1) / kKvBlockTokens * kKvBlockTokens;
}

}  // namespace

void LayerCache::make_storage(const KvQuantizer& quantizer, int64_t head_dim) {
  const bool packed = kv_storage(quantizer, head_dim) == KvStorage::kPacked;
  const auto rows = [&](const TokenQuantizer& part) {
    return Matrix(packed && part.active() ? kKvBlockTokens : capacity, kv_dim);
  };
  block = quantizer.active() ? quantizer.block : 0;
  k = rows(quantizer.k);
  v = rows(quantizer.v);
  layout = nullptr;
  if (packed)
    layout = std::make_shared<const KvHeadLayout>(
        make_kv_layout(quantizer.k, quantizer.v, head_dim, first_without_sinks(quantizer)));
}

std::shared_ptr<const KvHeadLayout> LayerCache::layout_at(const KvQuantizer& quantizer,
                                                          int64_t head_dim, int64_t first) const {
  if (first >= first_without_sinks(quantizer)) return layout;
  return std::make_shared<const KvHeadLayout>(
      make_kv_layout(quantizer.k, quantizer.v, head_dim, first));
}

int64_t LayerCache::k_rows() const { return used_rows(k, layout ? &layout->k : nullptr, tokens); }
int64_t LayerCache::v_rows() const { return used_rows(v, layout ? &layout->v : nullptr, tokens); }

LayerCache LayerCache::fork(int64_t count, std::shared_ptr<KvArena> new_blocks) const {
  LayerCache result{.capacity = capacity,
                    .kv_dim = kv_dim,
                    .tokens = count,
                    .block = block,
                    .arena = std::move(new_blocks)};
  result.k = copy_rows(k, used_rows(k, layout ? &layout->k : nullptr, count));
  result.v = copy_rows(v, used_rows(v, layout ? &layout->v : nullptr, count));
  const auto closed = blocks.empty() ? 0 : count / block;
  result.blocks.assign(blocks.begin(), blocks.begin() + closed);
  result.layout = layout;
  return result;
}

void LayerCache::clear() {
  tokens = 0;
  blocks.clear();
}

int64_t LayerCache::bytes() const {
  int64_t total = 0;
  for (const auto& packed : blocks) total += packed->bytes();
  return total + (k_rows() + v_rows()) * kv_dim * static_cast<int64_t>(sizeof(float));
}

int64_t KvPage::bytes() const {
  int64_t total = 0;
  for (const Layer& layer : layers) {
    if (layer.packed) total += layer.packed->bytes();
    total += (layer.k.size() + layer.v.size()) * static_cast<int64_t>(sizeof(float));
  }
  return total;
}

KvCache::KvCache(int64_t layers, int64_t kv_dim, int64_t capacity, std::shared_ptr<KvArena> arena)
    : capacity_(capacity) {
  if (layers < 1 || kv_dim < 1 || capacity < 1)
    throw_argument("KV cache: sizes must be at least 1, got {} layers, {} values, {} tokens",
                   layers, kv_dim, capacity);
  if (!arena) arena = std::make_shared<KvArena>();
  for (int64_t i = 0; i < layers; ++i)
    layers_.push_back(LayerCache{.capacity = capacity, .kv_dim = kv_dim, .arena = arena});
}

void KvCache::clear() {
  tokens_ = 0;
  for (LayerCache& layer : layers_) layer.clear();
}

int64_t KvCache::forkable(int64_t tokens) const {
  int64_t count = std::clamp<int64_t>(tokens, 0, tokens_);
  for (const LayerCache& layer : layers_)
    if (count < tokens_ - layer.open_tokens()) count = count / layer.block * layer.block;
  return count;
}

KvCache KvCache::fork(int64_t tokens) const {
  if (forkable(tokens) != tokens)
    throw_argument("KV cache: the first {} of {} tokens cannot be shared; the nearest prefix is {}",
                   tokens, tokens_, forkable(tokens));
  KvCache result(static_cast<int64_t>(layers_.size()), layers_.front().kv_dim, capacity_);
  result.tokens_ = tokens;
  for (size_t i = 0; i < layers_.size(); ++i)
    result.layers_[i] = layers_[i].fork(tokens, result.layers_[i].arena);
  return result;
}

int64_t KvCache::pages() const {
  int64_t closed = tokens_;
  for (const LayerCache& layer : layers_)
    if (layer.block > 0) closed = std::min(closed, tokens_ / layer.block * layer.block);
  return closed / kKvBlockTokens;
}

std::shared_ptr<const KvPage> KvCache::page(int64_t i) const {
  if (i < 0 || i >= pages())
    throw_argument("KV cache: expected a page in [0, {}), got {}", pages(), i);
  auto page = std::make_shared<KvPage>();
  page->index = i;
  for (const LayerCache& layer : layers_) {
    const auto rows = [&](const Matrix& part, bool packed) {
      if (packed) return Matrix();
      return Matrix::copy_of(part.view().rows_from(i * kKvBlockTokens, kKvBlockTokens));
    };
    const KvHeadLayout* const layout = layer.layout.get();
    page->layers.push_back({.block = layer.block,
                            .packed = layout ? layer.blocks.at(static_cast<size_t>(i)) : nullptr,
                            .layout = layer.layout,
                            .k = rows(layer.k, layout && layout->k.head_dim > 0),
                            .v = rows(layer.v, layout && layout->v.head_dim > 0)});
  }
  return page;
}

void KvCache::check_follows(const KvPage& page) const {
  if (page.index * kKvBlockTokens != tokens_)
    throw_argument("KV cache: page {} does not follow {} tokens", page.index, tokens_);
  if (capacity_ - tokens_ < kKvBlockTokens)
    throw_argument("KV cache: the cache holds {} of {} tokens, a page does not fit", tokens_,
                   capacity_);
  bool fits = page.layers.size() == layers_.size();
  for (size_t i = 0; fits && i < layers_.size(); ++i) {
    const KvPage::Layer& from = page.layers[i];
    const LayerCache& to = layers_[i];
    for (const Matrix* rows : {&from.k, &from.v})
      fits &= rows->size() == 0 || rows->cols() == to.kv_dim;
    fits &= tokens_ == 0 || (from.block == to.block && !from.layout == !to.layout);
  }
  if (!fits) throw_argument("KV cache: the page is that of another model or recipe");
}

void KvCache::append(const KvPage& page) {
  check_follows(page);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const KvPage::Layer& from = page.layers[i];
    LayerCache& to = layers_[i];
    const auto add_rows = [&](const Matrix& rows, Matrix& part) {
      if (tokens_ == 0) part.reshape(rows.size() == 0 ? kKvBlockTokens : to.capacity, to.kv_dim);
      if (rows.size() > 0) std::copy_n(rows.data(), rows.size(), part.row(tokens_));
    };
    add_rows(from.k, to.k);
    add_rows(from.v, to.v);
    to.block = from.block;
    to.layout = from.layout;
    if (from.packed) to.blocks.push_back(from.packed);
    to.tokens += kKvBlockTokens;
  }
  tokens_ += kKvBlockTokens;
}

int64_t KvCache::bytes() const {
  int64_t total = 0;
  for (const LayerCache& layer : layers_) total += layer.bytes();
  return total;
}

}  // namespace stamp
