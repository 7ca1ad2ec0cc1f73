#include "stamp/pipelines/tune_moves.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/quant/sequence_transform.h"

namespace stamp {
namespace {

void fill(TokenSpec& spec, double average_bits) {
  spec.plan.kind = "waterfill";
  spec.plan.average_bits = average_bits;
}

/// Plans of about an eighth of a bit beyond `spec.bits`.
void set_kv_plan(TokenSpec& spec, const std::string& kind) {
  spec.plan.kind = kind;
  spec.plan.high_bits = 8;  // `fraction` has one such row of 32
  if (kind == "waterfill") fill(spec, spec.bits + 0.125);
  if (kind == "two_level") {
    spec.plan.high_tokens = 8;
    spec.plan.high_bits = spec.bits + 1;
  }
}

void set_kv_transform(TokenSpec& spec, const std::string& transform) {
  spec.sequence.transform = transform;
  spec.sequence.skip_tokens = transform == "identity" ? 0 : 1;
}

using Group = std::vector<TuneMove>;

Group level_moves(const Recipe& recipe) {
  Group group;
  if (sequence_transform(recipe.activations.sequence.transform).has_levels)
    for (const int levels : {3, 5, 7, 9})
      group.push_back({fmt::format("J = {}", levels),
                       [=](Recipe& r) { r.activations.sequence.levels = levels; }});
  if (recipe.activations.sequence.transform == "klt")
    for (const int tokens : {32, 128, 256})
      group.push_back({fmt::format("klt over {} tokens", tokens),
                       [=](Recipe& r) { r.activations.sequence.klt_tokens = tokens; }});
  return group;
}

Group clip_moves(const char* name, TokenSpec& (*part)(Recipe&)) {
  Group group;
  for (const double clip : {1.0, 0.98, 0.95, 0.92, 0.88, 0.84})
    group.push_back(
        {fmt::format("{} clip {}", name, clip), [=](Recipe& r) { part(r).quantizer.clip = clip; }});
  return group;
}

Group kv_moves(const char* name, KvSpec& (*part)(Recipe&)) {
  Group group;
  for (const char* rotation : {"none", "head"})
    for (const char* transform : {"identity", "haar"})
      for (const char* plan : {"fraction", "two_level", "waterfill"})
        group.push_back({fmt::format("{}: rotation {}, {}, {}", name, rotation, transform, plan),
                         [=](Recipe& r) {
                           KvSpec& spec = part(r);
                           spec.rotation = rotation;
                           set_kv_transform(spec, transform);
                           set_kv_plan(spec, plan);
                         }});
  return group;
}

TokenSpec& inputs_of(Recipe& recipe) { return recipe.activations; }
TokenSpec& k_tokens(Recipe& recipe) { return recipe.k; }
TokenSpec& v_tokens(Recipe& recipe) { return recipe.v; }
KvSpec& k_of(Recipe& recipe) { return recipe.k; }
KvSpec& v_of(Recipe& recipe) { return recipe.v; }

bool valid(const Recipe& recipe) {
  try {
    check(recipe);
    return true;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

}  // namespace

void set_average_bits(Recipe& recipe, double average_bits, int64_t context) {
  TokenSpec& spec = recipe.activations;
  for (SiteSpec& own : recipe.sites)
    if (!own.site.ends_with(".k") && !own.site.ends_with(".v") && own.average_bits > 0)
      own.average_bits =
          std::clamp(own.average_bits + average_bits - spec.plan.average_bits, 2.25, 8.0);
  spec.bits = std::max(2, static_cast<int>(std::floor(average_bits)));
  if (spec.plan.kind == "waterfill") return fill(spec, average_bits);
  const double extra = (average_bits - spec.bits) * static_cast<double>(context);
  const int sinks = std::max(0, spec.sequence.skip_tokens);
  // Of `rows` protected rows `sinks` stand beside the low rows, so that these are not fewer.
  const int rows =
      static_cast<int>((extra - spec.bits * sinks) / std::max(1, spec.plan.high_bits - spec.bits));
  if (rows < 1)
    spec.plan.kind = "uniform";
  else
    spec.plan.high_tokens = rows;
}

std::vector<Recipe> tune_candidates(const TuneOptions& options) {
  std::vector<Recipe> candidates;
  for (const std::string& feature : options.features)
    for (const std::string& transform : options.transforms)
      for (const char* plan : {"waterfill", "two_level"}) {
        Recipe recipe = options.start;
        recipe.feature = feature;
        recipe.sites.clear();
        recipe.activations.sequence = {.transform = transform,
                                       .skip_tokens = transform == "identity" ? 0 : 1};
        recipe.activations.plan.kind = plan;
        set_average_bits(recipe, options.average_bits, options.context);
        recipe.name = fmt::format("{} {} {}", feature, transform, plan);
        if (valid(recipe)) candidates.push_back(std::move(recipe));
      }
  return candidates;
}

std::vector<std::vector<TuneMove>> tune_moves(const Recipe& recipe) {
  std::vector<Group> groups = {level_moves(recipe), clip_moves("input", inputs_of)};
  Group center, plan;
  for (const char* how : {"none", "auto", "static"})
    center.push_back({fmt::format("center {}", how), [=](Recipe& r) { r.center = how; }});
  for (const int bits : {0, 2, 3})
    plan.push_back({fmt::format("at least {} bits", bits),
                    [=](Recipe& r) { r.activations.plan.min_bits = bits; }});
  if (recipe.activations.plan.kind != "waterfill") plan.clear();
  groups.push_back(center);
  groups.push_back(plan);
  if (recipe.activations.sequence.transform != "identity")
    groups.push_back(
        {{"detect sinks", [](Recipe& r) { r.activations.sequence.skip_tokens = kDetectSinks; }}});
  if (recipe.k.bits < 16) {
    groups.push_back(kv_moves("K", k_of));
    groups.push_back(clip_moves("K", k_tokens));
  }
  if (recipe.v.bits < 16) {
    groups.push_back(kv_moves("V", v_of));
    groups.push_back(clip_moves("V", v_tokens));
  }
  const Json before = to_json(recipe);
  for (Group& group : groups)
    std::erase_if(group, [&](const TuneMove& move) {
      Recipe changed = recipe;
      move.apply(changed);
      return to_json(changed) == before || !valid(changed);
    });
  return groups;
}

}  // namespace stamp
