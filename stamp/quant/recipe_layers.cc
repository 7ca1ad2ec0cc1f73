// Layers that differ from the rest of a recipe.
#include <algorithm>
#include <charconv>

#include "stamp/core/error.h"
#include "stamp/quant/recipe.h"

namespace stamp {
namespace {

constexpr int64_t kMostLayers = 10000;

/// Reads a decimal number at `at` and moves behind it; -1 when there is none or it is too large.
int64_t take_number(const std::string& text, size_t& at) {
  int64_t number = -1;
  const char* begin = text.data() + at;
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), number);
  if (error != std::errc{} || number >= kMostLayers) return -1;
  at += static_cast<size_t>(end - begin);
  return number;
}

bool covers(const std::string& range, int64_t layer) {
  for (const auto& [first, last] : parse_layer_range(range, "layers"))
    if (layer >= first && layer <= last) return true;
  return false;
}

void replace(int& bits, int other) {
  if (other != 0) bits = other;
}

}  // namespace

std::vector<std::pair<int64_t, int64_t>> parse_layer_range(const std::string& text,
                                                           const std::string& where) {
  std::vector<std::pair<int64_t, int64_t>> pairs;
  bool good = true;
  size_t at = 0;
  do {
    if (!pairs.empty()) ++at;  // the comma
    const int64_t first = take_number(text, at);
    int64_t last = first;
    if (at < text.size() && text[at] == '-') last = take_number(text, ++at);
    good = first >= 0 && last >= first;
    pairs.emplace_back(first, last);
  } while (good && at < text.size() && text[at] == ',');
  if (!good || at != text.size())
    throw_argument("recipe: {}: expected layers like 0-1,15 below {}, got '{}'", where, kMostLayers,
                   text.substr(0, 80));
  return pairs;
}

Recipe recipe_for_layer(const Recipe& recipe, int64_t layer) {
  Recipe own = recipe;
  own.layers.clear();
  for (const LayerSpec& spec : recipe.layers) {
    if (!covers(spec.range, layer)) continue;
    replace(own.activations.bits, spec.activation_bits);
    replace(own.k.bits, spec.k_bits);
    replace(own.v.bits, spec.v_bits);
  }
  for (TokenSpec* spec : std::initializer_list<TokenSpec*>{&own.activations, &own.k, &own.v})
    if (spec->bits <= 8) spec->plan.high_bits = std::max(spec->plan.high_bits, spec->bits);
  return own;
}

TokenSpec spec_of_site(const Recipe& recipe, const std::string& site) {
  TokenSpec spec = recipe.activations;
  if (site.ends_with(".k")) spec = recipe.k;
  if (site.ends_with(".v")) spec = recipe.v;
  for (const SiteSpec& own : recipe.sites) {
    if (own.site != site) continue;
    if (own.average_bits > 0) spec.plan.average_bits = own.average_bits;
    if (own.clip > 0) spec.quantizer.clip = own.clip;
  }
  return spec;
}

int64_t layer_of_site(const std::string& site) {
  constexpr std::string_view kPrefix = "layers.";
  size_t at = kPrefix.size();
  if (!site.starts_with(kPrefix)) return -1;
  const int64_t layer = take_number(site, at);
  const std::string tensor = site.substr(at);
  const bool known = tensor == ".attn_in" || tensor == ".o_in" || tensor == ".mlp_in" ||
                     tensor == ".down_in" || tensor == ".k" || tensor == ".v";
  return known ? layer : -1;
}

void check_layers(const Recipe& recipe, int64_t count) {
  for (const SiteSpec& spec : recipe.sites)
    if (layer_of_site(spec.site) >= count)
      throw_argument("recipe: sites: this model has {} layers, got '{}'", count, spec.site);

  for (const LayerSpec& spec : recipe.layers)
    for (const auto& [first, last] : parse_layer_range(spec.range, "layers"))
      if (last >= count)
        throw_argument("recipe: layers: expected layers 0 to {} of this model, got '{}'", count - 1,
                       spec.range);
}

}  // namespace stamp
