#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <initializer_list>
#include <map>

#include "stamp/core/error.h"
#include "stamp/pipelines/compare.h"

namespace stamp {
namespace {

constexpr int kSkip = 1;  // attention sink of decoder models (STAMP section 1)

struct Sequence {
  std::string transform;
  int levels = 0;
};
Sequence parse_sequence(const std::string& text) {
  if (text == "none") return {"identity"};
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return {text};
  int levels = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, levels);
  if (error != std::errc() || stop != end || levels < 1)
    throw_argument("sequence: expected a transform or transform:J, got '{}'", text);
  return {text.substr(0, colon), levels};
}

// Plan of K and V inside closed blocks of 64: two_level would protect the whole block, fraction is
// its counterpart.
TokenSpec kv_spec(int bits, const Sequence& sequence, const std::string& plan) {
  TokenSpec spec{.bits = bits};
  if (bits == 16) return spec;
  spec.sequence = {.transform = sequence.transform,
                   .levels = sequence.levels,
                   .skip_tokens = sequence.transform == "identity" ? 0 : kSkip};
  spec.plan.kind = plan == "two_level" ? "fraction" : plan;
  return spec;
}

TokenSpec activation_spec(int bits, const Sequence& sequence, const std::string& plan,
                          const CompareOptions& options) {
  TokenSpec spec{.bits = bits};
  if (bits == 16) return spec;
  const bool identity = sequence.transform == "identity";
  spec.sequence = {.transform = sequence.transform,
                   .levels = sequence.levels,
                   .skip_tokens = identity ? 0 : kSkip};
  spec.plan.kind = plan;
  spec.plan.high_tokens = options.high_tokens + (identity ? kSkip : 0);
  return spec;
}

Recipe make_recipe(const BitSetting& bits, const std::string& feature, const std::string& sequence,
                   const std::string& plan, const CompareOptions& options) {
  const Sequence parsed = parse_sequence(sequence);
  Recipe recipe;
  recipe.name = fmt::format("w{}a{}kv{}-{}-{}-{}", bits.weights, bits.activations, bits.kv, feature,
                            sequence, plan);
  recipe.feature = feature;
  recipe.weights = {.bits = bits.weights, .mse_clip = true};
  if (bits.weights == 16) recipe.weights = {};
  recipe.activations = activation_spec(bits.activations, parsed, plan, options);
  recipe.k = recipe.v = {kv_spec(bits.kv, parsed, plan)};
  if (feature == "hadamard") recipe.k.rotation = "head";
  if (bits.activations < 16) recipe.center = options.center;
  check(recipe);
  return recipe;
}

Recipe with_bits(Recipe recipe, const BitSetting& bits) {
  recipe.name += fmt::format("-w{}a{}kv{}", bits.weights, bits.activations, bits.kv);
  recipe.weights.bits = bits.weights;
  recipe.activations.bits = bits.activations;
  recipe.k.bits = recipe.v.bits = bits.kv;
  return recipe;
}

/// `recipe` with L over the whole window, or without L.
Recipe with_sequence(Recipe recipe, const std::string& sequence, const std::string& plan,
                     const CompareOptions& options) {
  const auto [transform, levels] = parse_sequence(sequence);
  const bool identity = transform == "identity";
  for (TokenSpec* spec :
       std::initializer_list<TokenSpec*>{&recipe.activations, &recipe.k, &recipe.v}) {
    spec->sequence = {
        .transform = transform, .levels = levels, .skip_tokens = identity ? 0 : kSkip};
    spec->plan = {.kind = plan, .high_tokens = options.high_tokens + (identity ? kSkip : 0)};
  }
  recipe.kv_block = 0;
  recipe.name += fmt::format("-{}-{}", sequence, plan);
  check(recipe);
  return recipe;
}

/// A row per bits, feature, sequence and plan; without a sequence also the uniform plan.
template <typename MakeRecipe>
std::vector<CompareRow> product(const CompareOptions& options, const MakeRecipe& make) {
  std::vector<CompareRow> rows;
  for (const BitSetting& bits : options.bits)
    for (const std::string& feature : options.features) {
      const auto add = [&](const std::string& sequence, const std::string& plan) {
        rows.push_back({.recipe = make(bits, feature, sequence, plan),
                        .feature = feature,
                        .sequence = sequence,
                        .plan = plan,
                        .weight_bits = bits.weights,
                        .activation_bits = bits.activations,
                        .kv_bits = bits.kv});
      };
      for (const std::string& sequence : options.sequences) {
        if (sequence == "none") add("none", "uniform");
        for (const std::string& plan : options.plans) add(sequence, plan);
      }
    }
  return rows;
}

}  // namespace

BitSetting parse_bit_setting(const std::string& text) {
  BitSetting setting;
  const std::map<std::string, int*> parts = {
      {"w", &setting.weights}, {"a", &setting.activations}, {"kv", &setting.kv}};
  for (size_t i = 0; i < text.size();) {
    std::string name, digits;
    while (i < text.size() && std::isalpha(static_cast<unsigned char>(text[i])))
      name += static_cast<char>(std::tolower(static_cast<unsigned char>(text[i++])));
    while (i < text.size() && digits.size() < 3 &&
           std::isdigit(static_cast<unsigned char>(text[i])))
      digits += text[i++];
    const auto part = parts.find(name);
    const int bits = digits.empty() ? 0 : std::stoi(digits);
    if (part == parts.end() || ((bits < 2 || bits > 8) && bits != 16))
      throw_argument("bits: '{}' is not of the form w4a4kv4 with widths 2 to 8 or 16", text);
    *part->second = bits;
  }
  return setting;
}

std::vector<CompareRow> compare_grid(const CompareOptions& options) {
  return product(options, [&](const BitSetting& bits, const std::string& feature,
                              const std::string& sequence, const std::string& plan) {
    return make_recipe(bits, feature, sequence, plan, options);
  });
}

std::vector<CompareRow> paper_grid(const CompareOptions& options) {
  return product(options, [&](const BitSetting& bits, const std::string& method,
                              const std::string& sequence, const std::string& plan) {
    return with_sequence(with_bits(load_recipe("paper-" + method), bits), sequence, plan, options);
  });
}

std::vector<CompareRow> compare_list(const CompareOptions& options) {
  std::vector<CompareRow> rows;
  for (const std::string& name : options.recipes) {
    Recipe recipe = load_recipe(name);
    for (const CompareRow& row : rows)
      if (row.recipe.name == recipe.name)
        throw_argument("compare: two recipes are named '{}'", recipe.name);
    const std::string feature = recipe.feature;
    rows.push_back({.recipe = std::move(recipe), .feature = feature});
  }
  return rows;
}

}  // namespace stamp
