// What makes a recipe valid.
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>

#include "stamp/core/error.h"
#include "stamp/quant/klt.h"
#include "stamp/quant/recipe.h"
#include "stamp/quant/sequence_transform.h"

namespace stamp {
namespace {

const std::vector<std::string_view> kFeatures = {"none",    "hadamard",  "smoothquant", "quarot",
                                                 "vidit-q", "flatquant", "svdquant"};
constexpr int kManyTokens = 1 << 20;
// What a layer gets, all entries decide, and Recipe's questions ask for every layer that an entry
// names: without limits a file of a megabyte would take hours. Models have at most 1024 layers with
// 6 tensors each.
constexpr size_t kMostLayerEntries = 1024, kMostRangeBytes = 16 * 1024, kMostSites = 6 * 1024;

void check_between(const std::string& key, int value, int low, int high) {
  if (value < low || value > high)
    throw_argument("recipe: {}: expected {} to {}, got {}", key, low, high, value);
}

void check_bits(const std::string& key, int bits) {
  if (bits != 16) check_between(key, bits, 2, 8);
}

void check_name(const std::string& key, const std::string& name,
                const std::vector<std::string_view>& known) {
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    throw_argument("recipe: {}: expected one of {}, got '{}'", key, fmt::join(known, ", "), name);
  }
}

void check_quantizer(const QuantizerSpec& spec, const std::string& where) {
  if (!(spec.clip > 0 && spec.clip <= 1)) {
    throw_argument("recipe: {}.clip: expected above 0, up to 1, got {}", where, spec.clip);
  }
  check_between(where + ".block", spec.block, 0, kManyTokens);
}

void check_sequence(const SequenceSpec& spec, const std::string& where) {
  std::vector<std::string_view> known;
  for (const SequenceTransform& transform : sequence_transforms()) known.push_back(transform.name);
  check_name(where + ".transform", spec.transform, known);
  check_between(where + ".levels", spec.levels, 0, 20);
  check_between(where + ".skip_tokens", spec.skip_tokens, kDetectSinks, kMostSinks);
  check_between(where + ".block_tokens", spec.block_tokens, 0, kManyTokens);
  check_between(where + ".grid_width", spec.grid_width, 0, kManyTokens);
  check_between(where + ".klt_tokens", spec.klt_tokens, 0, static_cast<int>(kMaxKltTokens));
}

void check_plan(const TokenSpec& spec, const std::string& where) {
  const PlanSpec& plan = spec.plan;
  check_name(where + ".kind", plan.kind, {"uniform", "two_level", "fraction", "waterfill"});
  check_between(where + ".high_tokens", plan.high_tokens, 1, kManyTokens);
  check_between(where + ".high_bits", plan.high_bits, spec.bits <= 8 ? spec.bits : 2, 8);
  if (plan.min_bits != 0) check_between(where + ".min_bits", plan.min_bits, 2, 8);
  const double average = plan.average_bits;
  if (average != 0 && !(average >= std::max(1, plan.min_bits) && average <= 8)) {
    throw_argument("recipe: {}.average_bits: expected 0, or min_bits (at least 1) to 8, got {}",
                   where, average);
  }
  if (plan.kind == "two_level" && plan.high_tokens < spec.sequence.skip_tokens) {
    throw_argument("recipe: {}.high_tokens: expected at least skip_tokens {}, got {}", where,
                   spec.sequence.skip_tokens, plan.high_tokens);
  }
}

/// two_level needs rows beyond the high ones in every block of `block` tokens (0: no fixed block).
void check_block_has_low_rows(const TokenSpec& spec, const std::string& where, int block) {
  if (spec.bits < 16 && spec.plan.kind == "two_level" && block > 0 &&
      spec.plan.high_tokens >= block) {
    throw_argument(
        "recipe: {}.plan.high_tokens: expected fewer than the {} tokens of a block, got {}; use "
        "the "
        "plan fraction",
        where, block, spec.plan.high_tokens);
  }
}

void check_one_of(const std::string& key, int value, const std::vector<int>& known) {
  if (std::find(known.begin(), known.end(), value) == known.end())
    throw_argument("recipe: {}: expected one of {}, got {}", key, fmt::join(known, ", "), value);
}

void check_weights(const WeightSpec& spec, const std::string& where) {
  check_bits(where + ".bits", spec.bits);
  check_between(where + ".group", spec.group, 0, kManyTokens);
  check_name(where + ".quantizer", spec.quantizer, {"rtn", "gptq"});
  if (spec.clip_norm != 2.4 && spec.clip_norm != 2)
    throw_argument("recipe: {}.clip_norm: expected 2.4 or 2, got {}", where, spec.clip_norm);
  check_between(where + ".rank", spec.rank, 0, 1024);
  const bool codes = spec.quantizer == "gptq" || spec.rank > 0;
  if (codes && spec.bits < 16 && !(spec.bits <= 8 && spec.symmetric))
    throw_argument("recipe: {}: gptq and a branch need symmetric codes of at most 8 bits", where);
  if (!(spec.damping > 0 && spec.damping <= 1))
    throw_argument("recipe: {}.damping: expected above 0, up to 1, got {}", where, spec.damping);
}

void check_kv(const KvSpec& spec, const std::string& where, int kv_block) {
  check(spec, where);
  check_name(where + ".rotation", spec.rotation, {"none", "head", "group"});
  if (spec.rotation == "group" && !std::has_single_bit(static_cast<unsigned>(spec.quantizer.block)))
    throw_argument(
        "recipe: {0}.rotation: group needs a power of two in {0}.quantizer.block, got {1}", where,
        spec.quantizer.block);
  check_block_has_low_rows(spec, where, kv_block);
  if (spec.sequence.block_tokens != 0) {
    throw_argument(
        "recipe: {}.sequence.block_tokens: expected 0 (blocks are those of kv_block), got {}",
        where, spec.sequence.block_tokens);
  }
}

void check_count(const char* key, size_t count, size_t most) {
  if (count > most) throw_argument("recipe: {}: expected at most {}, got {}", key, most, count);
}

void check_counts(const Recipe& recipe) {
  check_count("entries of layers", recipe.layers.size(), kMostLayerEntries);
  check_count("entries of sites", recipe.sites.size(), kMostSites);
  size_t range_bytes = 0;
  for (const LayerSpec& spec : recipe.layers) range_bytes += spec.range.size();
  check_count("characters in the ranges of layers", range_bytes, kMostRangeBytes);
}

/// The tensor with the width that an entry of `layers` gives it; 0: none.
template <class Spec>
Spec with_bits(Spec spec, int bits) {
  if (bits != 0) spec.bits = bits;
  if (spec.bits <= 8) spec.plan.high_bits = std::max(spec.plan.high_bits, spec.bits);
  return spec;
}

/// That the other fields of the recipe allow its widths. Looked at alone: which entry wins may
/// differ from layer to layer of a range.
void check_layer(const Recipe& recipe, const LayerSpec& spec) {
  const std::string where = fmt::format("layers '{}'", spec.range.substr(0, 80));
  parse_layer_range(spec.range, "layers.range");
  const std::pair<const char*, int> widths[] = {{".activation_bits", spec.activation_bits},
                                                {".k_bits", spec.k_bits},
                                                {".v_bits", spec.v_bits}};
  for (const auto& [key, bits] : widths)
    if (bits != 0) check_bits(where + key, bits);
  check(with_bits(recipe.activations, spec.activation_bits), where + ": activations");
  check_kv(with_bits(recipe.k, spec.k_bits), where + ": k", recipe.kv_block);
  check_kv(with_bits(recipe.v, spec.v_bits), where + ": v", recipe.kv_block);
}

/// Its numbers, which no width of the layer changes the meaning of.
void check_site(const Recipe& recipe, const SiteSpec& spec) {
  const std::string where = fmt::format("sites '{}'", spec.site.substr(0, 80));
  if (layer_of_site(spec.site) < 0)
    throw_argument("recipe: {}: expected layers.N. and one of attn_in, o_in, mlp_in, down_in, k, v",
                   where);
  if (spec.average_bits < 0 || spec.clip < 0)
    throw_argument("recipe: {}: expected numbers of at least 0, got average_bits {} and clip {}",
                   where, spec.average_bits, spec.clip);
  TokenSpec own = spec.site.ends_with(".k")   ? recipe.k
                  : spec.site.ends_with(".v") ? recipe.v
                                              : recipe.activations;
  if (spec.average_bits != 0 && own.plan.kind != "waterfill")
    throw_argument("recipe: {}.average_bits: needs the plan waterfill, got {}", where,
                   own.plan.kind);
  if (spec.average_bits > 0) own.plan.average_bits = spec.average_bits;
  if (spec.clip > 0) own.quantizer.clip = spec.clip;
  check(own, where);
}

}  // namespace

void check(const TokenSpec& spec, const std::string& where) {
  check_bits(where + ".bits", spec.bits);
  check_quantizer(spec.quantizer, where + ".quantizer");
  check_sequence(spec.sequence, where + ".sequence");
  check_plan(spec, where + ".plan");
  check_block_has_low_rows(spec, where, spec.sequence.block_tokens);
}

void check(const Recipe& recipe) {
  if (recipe.name.empty()) throw_argument("recipe: name: expected text, got none");
  check_name("feature", recipe.feature, kFeatures);
  if (!(recipe.smoothing.alpha >= 0 && recipe.smoothing.alpha <= 1))
    throw_argument("recipe: smoothing.alpha: expected 0 to 1, got {}", recipe.smoothing.alpha);
  check_between("rotation_parts", recipe.rotation_parts, 1, 1024);
  check_between("seed", recipe.seed, 0, kManyTokens);
  check_name("center", recipe.center, {"none", "static", "auto"});
  check_weights(recipe.weights, "weights");
  check_weights(recipe.lm_head, "lm_head");
  check_name("lm_head.quantizer", recipe.lm_head.quantizer, {"rtn"});
  check_between("lm_head.rank", recipe.lm_head.rank, 0, 0);
  check_one_of("lm_head.bits", recipe.lm_head.bits, {4, 8, 16});
  check_one_of("embedding_bits", recipe.embedding_bits, {8, 16});
  check_one_of("attention_bits", recipe.attention_bits, {8, 16});
  check(recipe.activations, "activations");
  check_between("kv_block", recipe.kv_block, 0, kManyTokens);
  check_kv(recipe.k, "k", recipe.kv_block);
  check_kv(recipe.v, "v", recipe.kv_block);
  check_counts(recipe);
  for (const LayerSpec& spec : recipe.layers) check_layer(recipe, spec);
  for (const SiteSpec& spec : recipe.sites) check_site(recipe, spec);
  for (const std::string& pattern : recipe.exclude) {
    if (pattern.empty())
      throw_argument("recipe: exclude: expected parts of linear names, got an empty one");
  }
}

}  // namespace stamp
