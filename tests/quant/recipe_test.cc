#include "stamp/quant/recipe.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>

#include "stamp/quant/presets.h"

namespace stamp {
namespace {

/// What recipe_from_json says about `json`; empty when it is content.
std::string complaint(const Json& json) {
  try {
    recipe_from_json(json);
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

Json with(const std::string& pointer, const Json& value) {
  Json json = to_json(load_recipe("w4a4kv4-stamp"));
  json[Json::json_pointer(pointer)] = value;
  return json;
}

TEST(Recipe, EveryPresetRoundTripsAndNamesItself) {
  const std::vector<std::string> names = preset_names();
  EXPECT_EQ(names.size(), 18u);
  for (const std::string& name : names) {
    const Recipe recipe = load_recipe(name);
    EXPECT_EQ(recipe.name, name);
    const Json json = to_json(recipe);
    EXPECT_EQ(to_json(recipe_from_json(json)), json);
  }
}

TEST(Recipe, PresetFilesSpellOutEveryField) {
  for (const Preset& preset : presets()) {
    const Json file = read_json(std::filesystem::path(STAMP_SOURCE_DIR) / "recipes" /
                                (std::string(preset.name) + ".json"));
    EXPECT_EQ(file, Json::parse(preset.json));
    EXPECT_EQ(file, to_json(load_recipe(std::string(preset.name))));
  }
}

TEST(Recipe, PresetsMeanWhatTheirNamesSay) {
  const Recipe stamp = load_recipe("w4a4kv4-stamp");
  EXPECT_EQ(stamp.weights.bits, 4);
  EXPECT_TRUE(stamp.weights.mse_clip);
  EXPECT_EQ(stamp.activations.sequence.transform, "haar");
  EXPECT_EQ(stamp.activations.sequence.skip_tokens, 1);
  EXPECT_EQ(stamp.activations.plan.kind, "two_level");
  EXPECT_FALSE(stamp.needs_calibration());
  EXPECT_TRUE(load_recipe("w4a4kv4-stamp-wf").needs_calibration());
  EXPECT_TRUE(load_recipe("bf16").is_plain());
  EXPECT_FALSE(load_recipe("kv2").is_plain());
  EXPECT_EQ(load_recipe("kv2").k.bits, 2);
  EXPECT_EQ(load_recipe("paper-rtn-stamp").kv_block, 0);
}

TEST(Recipe, CalibrationIsNeededOnlyByWhatIsQuantized) {
  Recipe recipe;
  recipe.center = "static";
  recipe.k.plan.kind = "waterfill";
  EXPECT_FALSE(recipe.needs_calibration());
  recipe.activations.bits = 8;
  EXPECT_TRUE(recipe.needs_calibration());
  recipe.center = "none";
  EXPECT_FALSE(recipe.needs_calibration());
  recipe.k.bits = 4;
  EXPECT_TRUE(recipe.needs_calibration());
}

TEST(Recipe, MissingKeysTakeDefaultsExceptSchema) {
  EXPECT_EQ(to_json(recipe_from_json({{"schema", 1}})), to_json(Recipe{}));
  EXPECT_NE(complaint(Json::object()).find("schema"), std::string::npos);
  EXPECT_NE(complaint({{"schema", 2}}).find("schema"), std::string::npos);
}

TEST(Recipe, UnknownKeysAreNamedWithTheirPath) {
  EXPECT_NE(complaint(with("/colour", 1)).find("'colour'"), std::string::npos);
  EXPECT_NE(complaint(with("/k/plan/hi_bits", 8)).find("'k.plan.hi_bits'"), std::string::npos);
  EXPECT_NE(complaint(with("/activations/quantizer/zero", 8)).find("'activations.quantizer.zero'"),
            std::string::npos);
}

TEST(Recipe, WrongValuesAreNamedWithTheirPath) {
  const std::pair<const char*, Json> cases[] = {
      {"/name", ""},
      {"/name", 3},
      {"/feature", "dct"},
      {"/center", "mean"},
      {"/weights", 4},
      {"/weights/bits", 1},
      {"/weights/bits", 9},
      {"/weights/bits", 4.5},
      {"/weights/bits", "4"},
      {"/weights/bits", 4294967300},
      {"/weights/bits", 18446744073709551615u},
      {"/weights/group", -1},
      {"/weights/symmetric", 1},
      {"/activations/bits", 0},
      {"/activations/quantizer/clip", 0},
      {"/activations/quantizer/clip", 1.01},
      {"/activations/quantizer/clip", nullptr},
      {"/activations/quantizer/block", -64},
      {"/activations/sequence/transform", "fft"},
      {"/activations/sequence/levels", 21},
      {"/activations/sequence/levels", -1},
      {"/activations/sequence/skip_tokens", 17},
      {"/activations/sequence/block_tokens", -1},
      {"/activations/plan/kind", "best"},
      {"/activations/plan/high_tokens", 0},
      {"/activations/plan/high_bits", 3},
      {"/activations/plan/high_bits", 9},
      {"/activations/plan/min_bits", 1},
      {"/activations/plan/average_bits", 9},
      {"/activations/plan/average_bits", -1},
      {"/kv_block", -1},
      {"/lm_head/bits", 3},
      {"/lm_head/group", -1},
      {"/embedding_bits", 4},
      {"/attention_bits", 4},
      {"/k/rotation", "hadamard"},
      {"/v/rotation", "group"},
      {"/activations/rotation", "head"},
      {"/layers", "0"},
      {"/layers", Json::array({{{"range", "0"}, {"w_bits", 4}}})},
      {"/exclude", "lm_head"},
      {"/k/sequence/block_tokens", 32},
  };
  for (const auto& [pointer, value] : cases) {
    std::string path = std::string(pointer).substr(1);
    std::replace(path.begin(), path.end(), '/', '.');
    EXPECT_NE(complaint(with(pointer, value)).find(path), std::string::npos)
        << path << ": " << complaint(with(pointer, value));
  }
  EXPECT_NE(complaint(with("/exclude", Json::array({""}))), "");
  EXPECT_NE(complaint(with("/exclude", Json::array({1}))), "");
  EXPECT_NE(complaint(Json::array()), "");
  EXPECT_NE(complaint(Json("bf16")), "");
}

TEST(Recipe, LayersReplaceWidths) {
  Recipe recipe = load_recipe("kv4");
  recipe.layers = {{.range = "0-1,15", .k_bits = 8, .v_bits = 16},
                   {.range = "15", .activation_bits = 8, .k_bits = 6}};
  EXPECT_EQ(to_json(recipe_from_json(to_json(recipe))), to_json(recipe));
  const auto widths = [&](int64_t layer) {
    const Recipe own = recipe_for_layer(recipe, layer);
    EXPECT_TRUE(own.layers.empty());
    EXPECT_NO_THROW(check(own));
    EXPECT_EQ(own.k.plan.high_bits, std::max(own.k.bits, recipe.k.plan.high_bits));
    return std::array{own.activations.bits, own.k.bits, own.v.bits};
  };
  EXPECT_EQ(widths(0), (std::array{16, 8, 16}));
  EXPECT_EQ(widths(2), (std::array{16, 4, 4}));
  EXPECT_EQ(widths(15), (std::array{8, 6, 16}));
  EXPECT_NO_THROW(check_layers(recipe, 16));
  EXPECT_THROW(check_layers(recipe, 15), std::invalid_argument);
}

TEST(Recipe, LayersCountAsQuantized) {
  Recipe recipe;
  recipe.k.plan.kind = "waterfill";
  recipe.layers = {{.range = "3"}};
  EXPECT_TRUE(recipe.is_plain());
  EXPECT_FALSE(recipe.needs_calibration());
  recipe.layers[0].k_bits = 4;
  EXPECT_FALSE(recipe.is_plain());
  EXPECT_TRUE(recipe.needs_calibration());
}

TEST(Recipe, BadLayersAreNamed) {
  for (const char* range :
       {"", "a", "1-", "-1", "3-2", "1,", ",1", "1 ,2", "0-10000", "99999999999999999999", "1;2"})
    EXPECT_NE(complaint(with("/layers", Json::array({{{"range", range}}}))).find("layers"),
              std::string::npos)
        << range;
  for (const char* key : {"k_bits", "v_bits", "activation_bits"})
    for (const int bits : {1, 9, 17, -4})
      EXPECT_NE(complaint(with("/layers", Json::array({{{"range", "0"}, {key, bits}}}))).find(key),
                std::string::npos)
          << key << bits;
}

TEST(Recipe, SitesDifferFromTheirLayer) {
  Recipe recipe = load_recipe("w4a4kv4-stamp-wf");
  recipe.v.plan.kind = "waterfill";
  recipe.sites = {{.site = "layers.3.down_in", .average_bits = 5.5, .clip = 0.9},
                  {.site = "layers.12.v", .average_bits = 3}};
  EXPECT_EQ(to_json(recipe_from_json(to_json(recipe))), to_json(recipe));
  EXPECT_EQ(spec_of_site(recipe, "layers.3.down_in").plan.average_bits, 5.5);
  EXPECT_EQ(spec_of_site(recipe, "layers.3.down_in").quantizer.clip, 0.9);
  EXPECT_EQ(spec_of_site(recipe, "layers.3.o_in").plan.average_bits, 0);
  EXPECT_EQ(spec_of_site(recipe, "layers.12.v").plan.average_bits, 3);
  EXPECT_EQ(spec_of_site(recipe, "layers.12.k").plan.kind, recipe.k.plan.kind);
  EXPECT_NO_THROW(check_layers(recipe, 13));
  EXPECT_THROW(check_layers(recipe, 12), std::invalid_argument);
}

TEST(Recipe, BadSitesAreNamed) {
  const auto complaint_of = [](const char* site, const char* key, double value) {
    return complaint(with("/sites", Json::array({{{"site", site}, {key, value}}})));
  };
  for (const char* site : {"", "layers.3", "layers.x.k", "layers.3.q", "layers.-1.k", "3.k"})
    EXPECT_NE(complaint_of(site, "clip", 0.9).find("sites"), std::string::npos) << site;
  EXPECT_NE(complaint_of("layers.0.o_in", "clip", 1.5).find("clip"), std::string::npos);
  EXPECT_NE(complaint_of("layers.0.o_in", "clip", -1).find("clip"), std::string::npos);
  EXPECT_NE(complaint_of("layers.0.o_in", "average_bits", 4).find("waterfill"), std::string::npos);
}

TEST(Recipe, WidthsOfEveryLayerAreChecked) {
  // Layer 5, the first of the range, is wide again; layer 0 is not, and has no rows at four bits.
  Json json = to_json(Recipe{});
  json["k"]["plan"]["kind"] = "two_level";
  json["layers"] = {{{"range", "5,0"}, {"k_bits", 4}}, {{"range", "5"}, {"k_bits", 16}}};
  EXPECT_NE(complaint(json).find("layers '5,0': k.plan.high_tokens"), std::string::npos);
  json["k"]["plan"]["high_tokens"] = 32;
  EXPECT_EQ(complaint(json), "");
}

// Every entry may change what the others mean.
TEST(Recipe, EntriesAreCounted) {
  Json json = to_json(load_recipe("w4a4kv4-stamp-wf"));
  json["layers"] = Json::array();
  for (int i = 0; i < 1024; ++i) json["layers"].push_back({{"range", "7"}, {"k_bits", 4}});
  json["sites"] = Json::array();
  for (int i = 0; i < 6144; ++i) json["sites"].push_back({{"site", "layers.7.mlp_in"}});
  EXPECT_EQ(complaint(json), "");
  Json layers = json, sites = json, ranges = json;
  layers["layers"].push_back({{"range", "7"}});
  EXPECT_NE(complaint(layers).find("entries of layers: expected at most 1024"), std::string::npos);
  sites["sites"].push_back({{"site", "layers.7.k"}});
  EXPECT_NE(complaint(sites).find("entries of sites: expected at most 6144"), std::string::npos);
  std::string range = "0";
  while (range.size() < 16 * 1024) range += ",0";
  ranges["layers"][0]["range"] = range;
  EXPECT_NE(complaint(ranges).find("in the ranges of layers"), std::string::npos);
}

TEST(Recipe, TwoLevelInAShortBlockPointsToFraction) {
  EXPECT_NE(complaint(with("/k/plan/high_tokens", 64)).find("fraction"), std::string::npos);
  EXPECT_NE(complaint(with("/activations/sequence/block_tokens", 64)).find("fraction"),
            std::string::npos);
  EXPECT_EQ(complaint(with("/activations/sequence/block_tokens", 128)), "");
}

TEST(Recipe, LoadsFilesAndListsPresetsOtherwise) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("stamp_recipe_test_" +
                     std::to_string(::testing::UnitTest::GetInstance()->random_seed()) + ".json");
  Recipe recipe = load_recipe("kv3");
  recipe.name = "mine";
  recipe.exclude = {"layers.0.mlp"};
  std::ofstream(path) << to_json(recipe).dump();
  EXPECT_EQ(to_json(load_recipe(path.string())), to_json(recipe));
  std::filesystem::remove(path);
  try {
    load_recipe("w4a4");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("w4a4kv4-stamp-wf"), std::string::npos);
  }
}

}  // namespace
}  // namespace stamp
