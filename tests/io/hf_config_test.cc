#include "stamp/io/hf_config.h"

#include <gtest/gtest.h>

#include "stamp/io/json.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

Json llama() {
  return Json::parse(R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 800,
    "hidden_size": 96, "intermediate_size": 112, "num_hidden_layers": 3, "num_attention_heads": 6,
    "num_key_value_heads": 2, "max_position_embeddings": 2048, "hidden_act": "silu",
    "rms_norm_eps": 1e-05, "eos_token_id": 2})");
}

LlmConfig read(const Json& json) {
  const TempDirectory dir;
  dir.write("config.json", json.dump());
  return read_llm_config(dir.path());
}

/// Error when `key` of the plain Llama config has another value (or is gone, when discarded).
std::string error_with(const std::string& key, const Json& value) {
  Json json = llama();
  if (value.is_discarded())
    json.erase(key);
  else
    json[key] = value;
  const std::string error = runtime_error_of([&] { read(json); });
  if (!error.empty()) {
    EXPECT_HAS(error, "config.json: ");
  }
  return error;
}

TEST(ReadLlmConfig, ReadsSizesAndDefaults) {
  const LlmConfig config = read(llama());
  EXPECT_EQ(config.architecture, "LlamaForCausalLM");
  EXPECT_EQ(config.vocab_size, 800);
  EXPECT_EQ(config.hidden_size, 96);
  EXPECT_EQ(config.intermediate_size, 112);
  EXPECT_EQ(config.layers, 3);
  EXPECT_EQ(config.heads, 6);
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.max_positions, 2048);
  EXPECT_EQ(config.rms_norm_eps, 1e-5);
  EXPECT_EQ(config.rope_theta, 10000.0);
  EXPECT_FALSE(config.rope_scaling.has_value() || config.tie_word_embeddings ||
               config.attention_bias || config.mlp_bias || config.bos_token_id);
  EXPECT_EQ(config.eos_token_ids, std::vector<int64_t>{2});
}

TEST(ReadLlmConfig, ReadsFlagsAndLists) {
  Json json = llama();
  json.update({{"head_dim", 32},
               {"attention_bias", true},
               {"mlp_bias", true},
               {"tie_word_embeddings", true},
               {"bos_token_id", 0},
               {"eos_token_id", {1, 5, 7}},
               {"num_key_value_heads", nullptr},
               {"lambda", -1.0}});
  const LlmConfig config = read(json);
  EXPECT_EQ(config.head_dim, 32);
  EXPECT_EQ(config.kv_heads, 6);
  EXPECT_TRUE(config.attention_bias && config.mlp_bias && config.tie_word_embeddings);
  EXPECT_EQ(config.bos_token_id, 0);
  EXPECT_EQ(config.eos_token_ids, (std::vector<int64_t>{1, 5, 7}));
}

TEST(ReadLlmConfig, ReadsEverySpellingOfRope) {
  const Json scaling = {{"factor", 32.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 64}};
  Json public_one = llama(), older = llama(), current = llama();
  public_one["rope_theta"] = older["rope_theta"] = 500000;
  public_one["rope_scaling"] = older["rope_scaling"] = current["rope_parameters"] = scaling;
  public_one["rope_scaling"]["rope_type"] = "llama3";
  older["rope_scaling"]["type"] = "llama3";
  current["rope_parameters"].update({{"rope_type", "llama3"}, {"rope_theta", 500000}});
  for (const Json& json : {public_one, older, current}) {
    const LlmConfig config = read(json);
    EXPECT_EQ(config.rope_theta, 500000.0);
    ASSERT_TRUE(config.rope_scaling);
    EXPECT_EQ(config.rope_scaling->type, RopeScaling::Type::kLlama3);
    EXPECT_EQ(config.rope_scaling->factor, 32.0);
    EXPECT_EQ(config.rope_scaling->low_freq_factor, 1.0);
    EXPECT_EQ(config.rope_scaling->high_freq_factor, 4.0);
    EXPECT_EQ(config.rope_scaling->original_max_position_embeddings, 64);
  }
  EXPECT_EQ(error_with("rope_scaling", nullptr), "");
  EXPECT_EQ(error_with("rope_scaling", {{"rope_type", "default"}}), "");
}

LlmConfig with_rope(const Json& rope, double theta = 10000) {
  Json json = llama();
  json["rope_scaling"] = rope;
  json["rope_theta"] = theta;
  return read(json);
}

TEST(ReadLlmConfig, ReadsLinearScaling) {
  const LlmConfig config = with_rope({{"type", "linear"}, {"factor", 4}});
  ASSERT_TRUE(config.rope_scaling);
  EXPECT_EQ(config.rope_scaling->type, RopeScaling::Type::kLinear);
  EXPECT_EQ(config.rope_scaling->factor, 4.0);
  EXPECT_EQ(config.max_positions, 2048);
}

TEST(ReadLlmConfig, ReadsYarnWithItsDefaults) {
  const LlmConfig config =
      with_rope({{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 1024}});
  ASSERT_TRUE(config.rope_scaling);
  const RopeScaling& yarn = *config.rope_scaling;
  EXPECT_EQ(yarn.type, RopeScaling::Type::kYarn);
  EXPECT_EQ(yarn.factor, 4.0);
  EXPECT_EQ(yarn.original_max_position_embeddings, 1024);
  EXPECT_EQ(yarn.beta_fast, 32.0);
  EXPECT_EQ(yarn.beta_slow, 1.0);
  EXPECT_TRUE(yarn.truncate);
  EXPECT_DOUBLE_EQ(yarn.attention_factor, 1.138629436111989);
  EXPECT_EQ(config.max_positions, 4096);
}

TEST(ReadLlmConfig, ReadsYarnAsTransformersDoes) {
  const Json full = {
      {"rope_type", "yarn"},     {"factor", 40},     {"original_max_position_embeddings", 64},
      {"beta_fast", 8},          {"beta_slow", 2},   {"mscale", 1.0},
      {"mscale_all_dim", 0.707}, {"truncate", false}};
  const auto changed = [&](const Json& change) {
    Json rope = full;
    rope.update(change);
    return *with_rope(rope).rope_scaling;
  };
  const RopeScaling yarn = changed(Json::object());
  EXPECT_EQ(yarn.beta_fast, 8.0);
  EXPECT_EQ(yarn.beta_slow, 2.0);
  EXPECT_FALSE(yarn.truncate);
  EXPECT_DOUBLE_EQ(yarn.attention_factor, 1.0857263992561355);
  EXPECT_EQ(with_rope(full).max_positions, 2560);
  EXPECT_EQ(changed({{"attention_factor", 1.5}}).attention_factor, 1.5);
  EXPECT_DOUBLE_EQ(changed({{"mscale", 0}}).attention_factor, 1.3688879454113936);
  EXPECT_EQ(changed({{"factor", 0.5}, {"mscale", nullptr}}).attention_factor, 1.0);
  EXPECT_EQ(changed({{"beta_fast", 0}}).beta_fast, 32.0);
  EXPECT_EQ(changed({{"factor", nullptr}}).factor, 2048.0 / 64);
  EXPECT_EQ(
      changed({{"original_max_position_embeddings", nullptr}}).original_max_position_embeddings,
      2048);
}

TEST(ReadLlmConfig, RefusesUnsupportedRope) {
  EXPECT_HAS(error_with("rope_scaling", {{"type", "dynamic"}, {"factor", 2}}),
             R"('type' is "dynamic", supported are "default", "linear", "llama3" and "yarn")");
  EXPECT_HAS(error_with("rope_parameters", {{"rope_type", "longrope"}}), "\"longrope\"");
  EXPECT_HAS(error_with("rope_parameters", {{"rope_type", "linear"}}), "'factor' is missing");
  EXPECT_HAS(error_with("rope_scaling", {{"rope_type", "llama3"}, {"factor", 2}}), "is missing");
  EXPECT_HAS(error_with("rope_scaling", "llama3"), "expected an object");
  EXPECT_HAS(error_with("rope_theta", 0), "'rope_theta' is 0");
  EXPECT_HAS(error_with("partial_rotary_factor", 0.5), "partial_rotary_factor");
}

TEST(ReadLlmConfig, RefusesHostileScaling) {
  const std::pair<const char*, Json> values[] = {
      {"factor", 0},
      {"factor", -4},
      {"factor", 1e300},
      {"factor", "4"},
      {"original_max_position_embeddings", 0},
      {"original_max_position_embeddings", int64_t{1} << 40},
      {"original_max_position_embeddings", 32.5},
      {"beta_fast", -1},
      {"beta_fast", 1e-300},
      {"beta_fast", 0.5},  // below beta_slow
      {"beta_slow", 1e300},
      {"mscale", -1},
      {"mscale_all_dim", 1e9},
      {"attention_factor", 0},
      {"attention_factor", 1e300},
      {"attention_factor", "big"},
      {"truncate", 1}};
  for (const auto& [key, value] : values) {
    Json rope = {{"type", "yarn"}, {"factor", 4}, {"original_max_position_embeddings", 64}};
    rope[key] = value;
    EXPECT_HAS(error_with("rope_scaling", rope), "rope_scaling: '" + std::string(key) +
                                                     (value == 0.5 ? "' is 0.5, expected at least "
                                                                     "beta_slow 1"
                                                                   : "' is "));
  }
  for (const Json& factor : {Json(0), Json(1e300), Json(nullptr)})
    EXPECT_HAS(error_with("rope_scaling", {{"type", "linear"}, {"factor", factor}}), "'factor' is");
  EXPECT_HAS(runtime_error_of([] {
               with_rope({{"type", "yarn"}, {"factor", 4}}, 1.0);
             }),
             "rope_scaling: YaRN needs a rope_theta above 1");
  EXPECT_EQ(with_rope({{"type", "yarn"}, {"factor", 1e6}}).max_positions, 1 << 20);
}

/// NaN and Infinity, which Python writes, are no JSON: the one counts as absent, the other is huge.
TEST(ReadLlmConfig, TakesNoNanForAFactor) {
  const auto error = [](const std::string& factor) {
    const TempDirectory dir;
    std::string text = llama().dump();
    text.back() = ',';
    dir.write("config.json",
              text + R"("rope_scaling": {"type": "linear", "factor": )" + factor + "}}");
    return runtime_error_of([&] { read_llm_config(dir.path()); });
  };
  EXPECT_EQ(error("2"), "");
  EXPECT_HAS(error("NaN"), "'factor' is missing");
  EXPECT_HAS(error("Infinity"), "'factor' is 1e+308");
}

TEST(ReadLlmConfig, RefusesMissingAndAbsurdSizes) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "max_position_embeddings"}) {
    EXPECT_HAS(error_with(key, Json(Json::value_t::discarded)),
               std::string("'") + key + "' is missing");
    for (const Json& value :
         {Json(0), Json(-1), Json(1 << 21), Json(UINT64_MAX), Json("8"), Json(1.5)})
      EXPECT_HAS(error_with(key, value), std::string("'") + key + "' is " + value.dump());
  }
  EXPECT_HAS(error_with("num_hidden_layers", 1025), "1025");
  EXPECT_HAS(error_with("num_key_value_heads", 4), "divisor of num_attention_heads 6");
  EXPECT_HAS(error_with("num_attention_heads", 9), "'num_key_value_heads' is 2");
  EXPECT_HAS(error_with("head_dim", 15), "even");
  EXPECT_HAS(error_with("hidden_size", 97), "multiple of num_attention_heads");
  EXPECT_HAS(error_with("architectures", Json::array()), "'architectures' is []");
}

TEST(ReadLlmConfig, RefusesWhatItDoesNotImplement) {
  EXPECT_HAS(error_with("hidden_act", "gelu"), "'hidden_act' is \"gelu\"");
  EXPECT_HAS(error_with("quantization_config", {{"bits", 4}}), "'quant_method' is missing");
  EXPECT_HAS(error_with("quantization_config", {{"quant_method", "fp8"}}), "\"fp8\"");
  EXPECT_HAS(error_with("quantization_config", 4), "quantization_config");
  EXPECT_HAS(error_with("sliding_window", 4096), "'sliding_window' is 4096");
  EXPECT_HAS(error_with("use_sliding_window", true), "sliding");
  EXPECT_HAS(error_with("layer_types", {"full_attention", "sliding_attention"}), "layer_types");
  EXPECT_HAS(error_with("tie_word_embeddings", "yes"), "expected true or false");
  EXPECT_HAS(error_with("eos_token_id", {1, -1}), "'eos_token_id'");
  EXPECT_HAS(error_with("eos_token_id", {1, nullptr}), "'eos_token_id'");
  EXPECT_EQ(error_with("layer_types", {"full_attention"}), "");
}

TEST(ReadLlmConfig, IgnoresTheWindowThatQwenHasSwitchedOff) {
  Json json = llama();
  json.update({{"architectures", {"Qwen2ForCausalLM"}}, {"sliding_window", 4096}});
  EXPECT_EQ(read(json).architecture, "Qwen2ForCausalLM");
  json["use_sliding_window"] = false;
  EXPECT_EQ(read(json).max_positions, 2048);
  json["use_sliding_window"] = true;
  EXPECT_HAS(runtime_error_of([&] { read(json); }), "sliding windows are unsupported");
}

TEST(ReadLlmConfig, NeedsAFile) {
  const TempDirectory dir;
  EXPECT_HAS(runtime_error_of([&] { read_llm_config(dir.path()); }), "config.json: cannot open");
  dir.write("config.json", "[]");
  EXPECT_HAS(runtime_error_of([&] { read_llm_config(dir.path()); }), "expected a JSON object");
}

GenerationConfig read_generation(const std::string& text) {
  const TempDirectory dir;
  dir.write("generation_config.json", text);
  return read_generation_config(dir.path(), read(llama()));
}

TEST(ReadGenerationConfig, HasDefaultsWithoutAFile) {
  const TempDirectory dir;
  const GenerationConfig config = read_generation_config(dir.path(), read(llama()));
  EXPECT_FALSE(config.do_sample);
  EXPECT_EQ(config.temperature, 1.0);
  EXPECT_EQ(config.top_k, 0);
  EXPECT_EQ(config.eos_token_ids, std::vector<int64_t>{2});
}

TEST(ReadGenerationConfig, ReadsValues) {
  const GenerationConfig config = read_generation(
      R"({"do_sample": true, "temperature": 0.7, "top_p": 0.8, "top_k": 20,
          "repetition_penalty": 1.05, "eos_token_id": [4, 5]})");
  EXPECT_TRUE(config.do_sample);
  EXPECT_EQ(config.temperature, 0.7);
  EXPECT_EQ(config.top_p, 0.8);
  EXPECT_EQ(config.top_k, 20);
  EXPECT_EQ(config.repetition_penalty, 1.05);
  EXPECT_EQ(config.eos_token_ids, (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(read_generation(R"({"do_sample": true})").top_k, 50);
  EXPECT_EQ(read_generation(R"({"temperature": null})").top_k, 0);
}

TEST(ReadGenerationConfig, RefusesValuesOutsideTheirRanges) {
  for (const char* text :
       {R"({"temperature": -1})", R"({"top_p": 0})", R"({"top_p": 1.5})", R"({"top_k": -1})",
        R"({"repetition_penalty": 0})", R"({"do_sample": 1})", R"({"eos_token_id": "x"})",
        R"({"num_beams": 4})"})
    EXPECT_HAS(runtime_error_of([&] { read_generation(text); }), "generation_config.json: '");
}

}  // namespace
}  // namespace stamp
