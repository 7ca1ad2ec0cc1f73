// Models in GGUF files and in GPTQ's layout against the directories that they were made from
// (tools/make_gguf_fixtures.py, tools/make_packed_fixtures.py).
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "stamp/core/block_types.h"
#include "stamp/io/gguf_model.h"
#include "stamp/io/safetensors.h"
#include "stamp/models/model.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

const std::filesystem::path kData = std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data";
const std::filesystem::path kGguf = kData / "gguf";

Matrix logits_of(std::shared_ptr<const ModelSource> source, const Recipe& recipe = {},
                 Execution execution = Execution::kInteger) {
  const auto model = make_model(source, {.recipe = recipe, .execution = execution});
  std::vector<int32_t> ids;
  const auto vocabulary = static_cast<int32_t>(std::min<int64_t>(64, source->config().vocab_size));
  for (int32_t i = 0; i < 40; ++i) ids.push_back(i * 37 % vocabulary);
  KvCache cache = model->make_cache(64);
  ForwardContext context;
  const Matrix hidden = model->forward(ids, cache, context);
  Matrix out(hidden.rows(), model->config().vocab_size);
  model->logits(hidden.view(), out.view(), context);
  return out;
}

double relative_error(const Matrix& want, const Matrix& got) {
  EXPECT_EQ(want.rows(), got.rows());
  EXPECT_EQ(want.cols(), got.cols());
  double error = 0, largest = 0;
  for (int64_t i = 0; i < want.size(); ++i) {
    error = std::max(error, std::abs(double{want.data()[i]} - got.data()[i]));
    largest = std::max(largest, std::abs(double{want.data()[i]}));
  }
  return error / largest;
}

bool equal(const Matrix& a, const Matrix& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(float)) == 0;
}

/// A directory that holds the weights of `source` as fp32.
std::shared_ptr<const ModelSource> plain_copy(const ModelSource& source,
                                              const std::filesystem::path& config,
                                              const TempDirectory& dir) {
  std::map<std::string, Matrix> values;
  std::map<std::string, TensorView> views;
  for (const auto& [name, view] : source.weights().tensors()) {
    const Matrix& matrix = values.emplace(name, to_matrix(view)).first->second;
    views[name] = {DType::kF32, view.shape, matrix.data()};
  }
  write_safetensors(dir.path() / "model.safetensors", views);
  dir.write("config.json", read_text(config));
  return ModelSource::open(dir.path());
}

TEST(GgufModels, HaveTheLogitsOfTheirDirectories) {
  for (const char* family : {"llama", "qwen2"}) {
    const auto directory = ModelSource::open(kData / "llm" / family / "ckpt");
    const auto file = ModelSource::open(kGguf / (std::string(family) + "-f32.gguf"));
    EXPECT_TRUE(equal(logits_of(directory), logits_of(file))) << family;
    Recipe recipe = load_recipe("w4a4kv4-stamp");
    EXPECT_TRUE(equal(logits_of(directory, recipe), logits_of(file, recipe))) << family;
  }
}

TEST(GgufModels, ConfigsAreThoseOfTheirDirectories) {
  for (const char* family : {"llama", "qwen2"}) {
    const LlmConfig want = read_llm_config(kData / "llm" / family / "ckpt");
    const LlmConfig got = read_llm_config(kGguf / (std::string(family) + "-f32.gguf"));
    EXPECT_EQ(got.architecture, want.architecture);
    EXPECT_EQ(got.vocab_size, want.vocab_size);
    EXPECT_EQ(got.head_dim, want.head_dim);
    EXPECT_EQ(got.kv_heads, want.kv_heads);
    EXPECT_EQ(got.rms_norm_eps, want.rms_norm_eps);
    EXPECT_EQ(got.rope_theta, want.rope_theta);
    EXPECT_EQ(got.tie_word_embeddings, want.tie_word_embeddings);
    EXPECT_EQ(got.max_positions, want.max_positions);
    // Several contexts give the same four divisors; the logits above show that they do.
    ASSERT_EQ(got.rope_scaling.has_value(), want.rope_scaling.has_value());
    if (!want.rope_scaling) continue;
    EXPECT_EQ(got.rope_scaling->type, want.rope_scaling->type);
    EXPECT_EQ(got.rope_scaling->factor, want.rope_scaling->factor);
    EXPECT_EQ(got.rope_scaling->low_freq_factor, want.rope_scaling->low_freq_factor);
    EXPECT_EQ(got.rope_scaling->high_freq_factor, want.rope_scaling->high_freq_factor);
  }
}

/// In fp32 the values of blocks, and of 16-bit types, are used as they are; with integers their
/// codes multiply inputs of 24 bits.
TEST(GgufModels, BlocksGiveTheLogitsOfTheirValues) {
  for (const char* name : {"llama-q8_0.gguf", "llama-q4_0.gguf", "llama-mixed.gguf"}) {
    const TempDirectory dir;
    const auto file = ModelSource::open(kGguf / name);
    const Matrix want = logits_of(plain_copy(*file, kData / "llm/llama/ckpt/config.json", dir));
    EXPECT_LT(relative_error(want, logits_of(file, {}, Execution::kSimulated)), 2e-6) << name;
    EXPECT_LT(relative_error(want, logits_of(file)), 1e-5) << name;
  }
}

TEST(GgufModels, CodesOfBlocksAreMultipliedAsTheyAre) {
  const auto file = ModelSource::open(kGguf / "llama-q4_0.gguf");
  const auto directory = ModelSource::open(kData / "llm/llama/ckpt");
  const Recipe activations = [] {
    Recipe recipe = load_recipe("w4a4kv4");
    recipe.weights = recipe.lm_head = {};
    recipe.feature = "none";
    recipe.embedding_bits = 16;
    return recipe;
  }();
  // Layers have the same bits; the output head's input has 24 bits, or is fp32.
  const Matrix simulated = logits_of(file, activations, Execution::kSimulated);
  EXPECT_LT(relative_error(simulated, logits_of(file, activations)), 1e-5);
  EXPECT_LT(make_model(file)->weight_bytes(), make_model(directory)->weight_bytes() / 2);
}

TEST(GgufModels, AreNotTakenForOthers) {
  const auto error_of = [](auto&& change) {
    const TempDirectory dir;
    std::string content = read_text(kGguf / "llama-f32.gguf");
    change(content);
    const auto file = dir.write("m.gguf", content);
    return runtime_error_of([&] { make_model(ModelSource::open(file)); });
  };
  const auto replace = [](std::string& text, std::string_view from, std::string_view to) {
    ASSERT_EQ(from.size(), to.size());
    const size_t at = text.find(from);
    ASSERT_NE(at, text.npos);
    text.replace(at, to.size(), to);
  };
  EXPECT_EQ(error_of([](std::string&) {}), "");
  EXPECT_HAS(error_of([&](std::string& s) { replace(s, "blk.1.attn_q", "blk.1.attn_z"); }),
             "tensor 'blk.1.attn_z.weight' belongs to no supported model");
  EXPECT_HAS(error_of([&](std::string& s) { replace(s, "blk.1.ffn_up", "blk.9.ffn_up"); }),
             "there is no tensor 'model.layers.1.mlp.up_proj.weight'");
  EXPECT_HAS(error_of([&](std::string& s) { replace(s, "token_embd", "token_embX"); }),
             "there is no matrix 'token_embd.weight'");
  EXPECT_HAS(
      error_of([&](std::string& s) { replace(s, "llama.block_count", "llama.block_cOunt"); }),
      "'llama.block_count' is missing");
  EXPECT_HAS(error_of([&](std::string& s) {
               const size_t at = s.find("general.architecture");
               s.replace(s.find("llama", at), 5, "gemma");
             }),
             R"('general.architecture' is "gemma", supported are "llama" and "qwen2")");
  EXPECT_HAS(error_of([&](std::string& s) {
               const uint32_t one = 3;
               const size_t at = s.find("llama.attention.head_count_kv");
               std::memcpy(s.data() + at + 29 + 4, &one, sizeof one);
             }),
             "'num_key_value_heads' is 3, expected a divisor");
}

TEST(GgufModels, YarnIsThatOfTheDirectory) {
  const auto directory = ModelSource::open(kData / "oracles/llm/qwen2_yarn/ckpt");
  const auto file = ModelSource::open(kGguf / "qwen2-yarn.gguf");
  ASSERT_TRUE(file->config().rope_scaling);
  EXPECT_DOUBLE_EQ(file->config().rope_scaling->attention_factor,
                   directory->config().rope_scaling->attention_factor);
  EXPECT_TRUE(equal(logits_of(directory), logits_of(file)));
}

/// The config of qwen2-yarn.gguf after some bytes have been replaced, or the error.
LlmConfig yarn_with(std::initializer_list<std::pair<std::string, std::string>> changes) {
  const TempDirectory dir;
  std::string content = read_text(kGguf / "qwen2-yarn.gguf");
  for (const auto& [from, to] : changes) {
    const size_t at = content.find(from);
    if (at == content.npos || from.size() != to.size()) throw std::logic_error(from);
    content.replace(at, to.size(), to);
  }
  return read_llm_config(dir.write("m.gguf", content));
}

std::string float_bytes(float value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

TEST(GgufModels, RopeScalingIsReadAsLlamaCppDoes) {
  const std::string type =
      std::string("scaling.type") + '\x08' + std::string(3, '\0') + '\x04' + std::string(7, '\0');
  EXPECT_FALSE(yarn_with({{type + "yarn", type + "none"}}).rope_scaling);
  // A key that nobody reads leaves the type open: linear.
  const auto linear = yarn_with({{"scaling.type", "scaling.tyqe"}}).rope_scaling;
  ASSERT_TRUE(linear);
  EXPECT_EQ(linear->type, RopeScaling::Type::kLinear);
  EXPECT_EQ(linear->factor, 4.0);
  const std::string factor = std::string("scaling.factor") + '\x06' + std::string(3, '\0');
  const std::string four = factor + float_bytes(4);
  EXPECT_FALSE(
      yarn_with({{"scaling.type", "scaling.tyqe"}, {four, factor + float_bytes(0)}}).rope_scaling);
  EXPECT_HAS(runtime_error_of([&] {
               yarn_with({{type + "yarn", type + "warn"}});
             }),
             R"('qwen2.rope.scaling.type' is "warn", supported are "none", "linear" and "yarn")");
  for (const float bad : {-1.0f, 1e30f, 1e-30f, std::nanf("")})
    EXPECT_HAS(runtime_error_of([&] {
                 yarn_with({{four, factor + float_bytes(bad)}});
               }),
               "factor'")
        << bad;
}

TEST(GgufModels, RopeFactorsMustBeThoseOfLlama3) {
  const TempDirectory dir;
  std::string content = read_text(kGguf / "llama-f32.gguf");
  const Gguf file = Gguf::open(kGguf / "llama-f32.gguf");
  const auto* factors = static_cast<const std::byte*>(file.tensors().at("rope_freqs.weight").data);
  const float changed = 3;
  std::memcpy(content.data() + (factors - file.file()->bytes().data()), &changed, sizeof changed);
  const auto path = dir.write("m.gguf", content);
  EXPECT_HAS(runtime_error_of([&] { ModelSource::open(path); }), "is not the scaling of Llama 3");
}

TEST(PackedModels, HaveTheLogitsOfTheirValues) {
  const auto packed = ModelSource::open(kData / "packed/llama-gptq");
  const auto plain = ModelSource::open(kData / "packed/llama-gptq-plain");
  EXPECT_EQ(packed->stored_recipe(), nullptr);
  EXPECT_EQ(packed->weights().at("model.layers.0.self_attn.q_proj.weight").dtype, DType::kQ4_0);
  // Rows of down_proj are no whole blocks: rounded to fp16.
  EXPECT_EQ(packed->weights().at("model.layers.0.mlp.down_proj.weight").dtype, DType::kF16);
  EXPECT_LT(relative_error(logits_of(plain), logits_of(packed)), 1e-3);
}

}  // namespace
}  // namespace stamp
