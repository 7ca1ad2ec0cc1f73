// What recipes do to a whole model, and what a model refuses.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <set>

#include "stamp/core/rng.h"
#include "stamp/io/safetensors.h"
#include "stamp/models/model.h"

namespace stamp {
namespace {

const std::filesystem::path kData = std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data/llm";

std::shared_ptr<const ModelSource> llama() { return ModelSource::open(kData / "llama/ckpt"); }

std::vector<int32_t> random_ids(int64_t count) {
  Rng rng(5);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(rng.below(64)));
  return ids;
}

/// Hidden states of `ids` in chunks.
Matrix run(const Model& model, std::span<const int32_t> ids, size_t chunk,
           Observer* observer = nullptr) {
  ForwardContext context{.observer = observer};
  KvCache cache = model.make_cache(static_cast<int64_t>(ids.size()));
  Matrix all(static_cast<int64_t>(ids.size()), model.config().hidden_size);
  for (size_t i = 0; i < ids.size(); i += chunk) {
    const Matrix part =
        model.forward(ids.subspan(i, std::min(chunk, ids.size() - i)), cache, context);
    std::copy_n(part.data(), part.size(), all.row(static_cast<int64_t>(i)));
  }
  return all;
}

double relative_error(const Matrix& got, const Matrix& want) {
  double error = 0, largest = 0;
  for (int64_t i = 0; i < want.size(); ++i) {
    error = std::max(error, std::abs(static_cast<double>(got.data()[i]) - want.data()[i]));
    largest = std::max(largest, std::abs(static_cast<double>(want.data()[i])));
  }
  return error / largest;
}

Recipe stamp_recipe() {
  Recipe recipe;
  recipe.name = "test";
  recipe.feature = "hadamard";
  recipe.weights.bits = 4;
  recipe.activations.bits = recipe.k.bits = recipe.v.bits = 4;
  recipe.k.rotation = "head";
  for (TokenSpec* spec :
       std::initializer_list<TokenSpec*>{&recipe.activations, &recipe.k, &recipe.v}) {
    spec->sequence = {.transform = "haar", .skip_tokens = 1};
    spec->plan.kind = "fraction";
  }
  return recipe;
}

TEST(Decoder, SixteenBitRecipeIsThePlainModelBitForBit) {
  const auto source = llama();
  Recipe recipe = stamp_recipe();
  recipe.weights.bits = recipe.activations.bits = recipe.k.bits = recipe.v.bits = 16;
  const auto ids = random_ids(100);
  const Matrix want = run(*make_model(source), ids, 100);
  const Matrix got = run(*make_model(source, {.recipe = recipe}), ids, 100);
  EXPECT_TRUE(std::equal(got.data(), got.data() + got.size(), want.data()));
}

TEST(Decoder, EightBitsAreCloseAndFourAreNot) {
  const auto source = llama();
  const auto ids = random_ids(100);
  const Matrix plain = run(*make_model(source), ids, 100);
  Recipe recipe = stamp_recipe();
  const double four = relative_error(run(*make_model(source, {.recipe = recipe}), ids, 100), plain);
  recipe.weights.bits = recipe.activations.bits = recipe.k.bits = recipe.v.bits = 8;
  const double eight =
      relative_error(run(*make_model(source, {.recipe = recipe}), ids, 100), plain);
  EXPECT_LT(eight, 0.1);
  EXPECT_GT(eight, 1e-5);
  EXPECT_GT(four, 2 * eight);
}

TEST(Decoder, QuantizedCacheAgreesBetweenPrefillAndDecode) {
  Recipe recipe = stamp_recipe();
  recipe.activations = {};
  recipe.weights = {};
  const auto model = make_model(llama(), {.recipe = recipe});
  const auto ids = random_ids(150);
  const Matrix whole = run(*model, ids, 150);
  EXPECT_GT(relative_error(whole, run(*make_model(llama()), ids, 150)), 1e-3);
  // Queries and probabilities meet packed codes as 16-bit integers, and may round another way.
  EXPECT_LT(relative_error(run(*model, ids, 37), whole), 2e-4);
  EXPECT_LT(relative_error(run(*model, ids, 1), whole), 2e-4);
}

TEST(Decoder, RotatingKeysAndValuesChangesOnlyTheRounding) {
  const auto source = llama();
  const auto ids = random_ids(128);
  const Matrix plain = run(*make_model(source), ids, 128);
  Recipe recipe;
  recipe.k.bits = recipe.v.bits = 8;
  for (const std::string rotation : {"none", "head", "group"}) {
    recipe.k.rotation = recipe.v.rotation = rotation;
    recipe.k.quantizer.block = recipe.v.quantizer.block = rotation == "group" ? 4 : 0;
    const Matrix got = run(*make_model(source, {.recipe = recipe}), ids, 128);
    EXPECT_LT(relative_error(got, plain), 0.05) << rotation;
    EXPECT_GT(relative_error(got, plain), 1e-5) << rotation;
  }
}

TEST(Decoder, RefusesRotationGroupsThatDoNotDivideHeads) {
  Recipe recipe;
  recipe.k.bits = 4;
  recipe.k.rotation = "group";
  recipe.k.quantizer.block = 32;  // heads are of 8
  EXPECT_THROW(make_model(llama(), {.recipe = recipe}), std::invalid_argument);
}

TEST(Decoder, LayersMayHaveTheirOwnWidths) {
  Recipe recipe;
  recipe.k.bits = recipe.v.bits = 4;
  const auto bits = [&] { return make_model(llama(), {.recipe = recipe})->kv_bits(64).average(); };
  EXPECT_EQ(bits(), 4.0);
  recipe.layers = {{.range = "1", .k_bits = 8}};
  EXPECT_EQ(bits(), (4 + 4 + 8 + 4) / 4.0);
  recipe.layers.push_back({.range = "0-1", .v_bits = 2});
  EXPECT_EQ(bits(), (4 + 2 + 8 + 2) / 4.0);
  recipe.layers.push_back({.range = "2", .v_bits = 2});  // the model has two
  EXPECT_THROW(bits(), std::invalid_argument);
}

struct Sites : Observer {
  std::set<std::string> inputs, kv, linears;
  void on_input(const std::string& site, ConstFloatView, int64_t) override { inputs.insert(site); }
  void on_kv(const std::string& site, ConstFloatView x, int64_t) override {
    EXPECT_EQ(x.cols, 16);
    kv.insert(site);
  }
  bool wants_linear_error() const override { return true; }
  void on_linear_error(const std::string& linear, const Sqnr& sqnr) override {
    EXPECT_GT(sqnr.db(), 3.0) << linear;
    linears.insert(linear);
  }
};

TEST(Decoder, ObserverSeesEverySite) {
  Sites sites;
  run(*make_model(llama(), {.recipe = stamp_recipe()}), random_ids(64), 64, &sites);
  EXPECT_EQ(sites.kv,
            (std::set<std::string>{"layers.0.k", "layers.0.v", "layers.1.k", "layers.1.v"}));
  EXPECT_EQ(sites.inputs.size(), 8u);
  EXPECT_TRUE(sites.inputs.contains("layers.0.attn_in") && sites.inputs.contains("layers.0.o_in") &&
              sites.inputs.contains("layers.1.mlp_in") &&
              sites.inputs.contains("layers.1.down_in"));
  EXPECT_EQ(sites.linears.size(), 14u);
  EXPECT_TRUE(sites.linears.contains("layers.0.self_attn.q_proj"));
  EXPECT_TRUE(sites.linears.contains("layers.1.mlp.down_proj"));
}

TEST(Decoder, CountsBitsAndExplainsItself) {
  const auto plain = make_model(llama());
  EXPECT_EQ(plain->activation_bits(100).average_with_scales(), 16.0);
  EXPECT_EQ(plain->kv_bits(100).average_with_scales(), 16.0);
  EXPECT_TRUE(plain->notes().empty());
  Recipe recipe = stamp_recipe();
  recipe.exclude = {"layers.1.mlp.down_proj"};
  const auto model = make_model(llama(), {.recipe = recipe});
  // Widths 32 + 32 + 32 + 40 per layer; 40 of them stay at 16 bits.
  EXPECT_EQ(model->activation_bits(64).elements, 64 * 2 * (32 + 32 + 32 + 40));
  EXPECT_GT(model->activation_bits(64).average(), 4 + 12 * 40.0 / 272);
  EXPECT_EQ(model->kv_bits(64).elements, 64 * 2 * 2 * 16);
  EXPECT_LT(model->kv_bits(64).average(), 4.5);
  const auto notes = model->notes();
  ASSERT_EQ(notes.size(), 4u);  // one for all inputs of 32, one for keys, two exclusions
  EXPECT_EQ(notes.back(), "layers.1.down_in is excluded: not quantized");
}

TEST(Decoder, RefusesBadIdsAndFullCaches) {
  const auto model = make_model(llama());
  ForwardContext context;
  KvCache cache = model->make_cache(4);
  const auto call = [&](std::vector<int32_t> ids) { model->forward(ids, cache, context); };
  EXPECT_THROW(call({}), std::invalid_argument);
  EXPECT_THROW(call({64}), std::invalid_argument);
  EXPECT_THROW(call({-1}), std::invalid_argument);
  EXPECT_THROW(call({1, 2, 3, 4, 5}), std::invalid_argument);
  EXPECT_EQ(cache.tokens(), 0);
  call({1, 2, 3, 4});
  EXPECT_THROW(call({1}), std::invalid_argument);
  EXPECT_THROW(model->make_cache(0), std::invalid_argument);
  EXPECT_THROW(model->make_cache(257), std::invalid_argument);
}

/// A copy of the Llama case whose tensors and config a test can damage.
class BrokenModel : public testing::Test {
 protected:
  std::filesystem::path folder = std::filesystem::path(testing::TempDir()) /
                                 testing::UnitTest::GetInstance()->current_test_info()->name();
  Safetensors original = Safetensors::open(kData / "llama/ckpt/model.safetensors");
  std::map<std::string, TensorView> tensors = original.tensors();
  std::string config;

  void SetUp() override {
    std::filesystem::create_directories(folder);
    std::ifstream file(kData / "llama/ckpt/config.json");
    config.assign(std::istreambuf_iterator<char>(file), {});
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  void replace(const std::string& from, const std::string& to) {
    const size_t at = config.find(from);
    ASSERT_NE(at, std::string::npos);
    config.replace(at, from.size(), to);
  }
  /// The message of the error that loading gives.
  std::string load() {
    std::ofstream(folder / "config.json") << config;
    write_safetensors(folder / "model.safetensors", tensors);
    try {
      make_model(ModelSource::open(folder));
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(BrokenModel, LoadsUndamaged) { EXPECT_EQ(load(), ""); }

TEST_F(BrokenModel, MissingTensor) {
  tensors.erase("model.layers.1.self_attn.v_proj.weight");
  EXPECT_NE(load().find("model.layers.1.self_attn.v_proj.weight"), std::string::npos);
}

TEST_F(BrokenModel, UntiedNeedsLmHead) {
  replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
  EXPECT_NE(load().find("lm_head.weight"), std::string::npos);
}

TEST_F(BrokenModel, WrongShape) {
  replace("\"intermediate_size\": 40", "\"intermediate_size\": 48");
  const std::string message = load();
  EXPECT_NE(message.find("[48, 32]"), std::string::npos) << message;
  EXPECT_NE(message.find("[40, 32]"), std::string::npos) << message;
}

TEST_F(BrokenModel, WrongType) {
  TensorView& norm = tensors.at("model.norm.weight");
  norm.dtype = DType::kI32;
  EXPECT_NE(load().find("I32"), std::string::npos);
}

TEST_F(BrokenModel, UnknownArchitecture) {
  replace("LlamaForCausalLM", "GPT2LMHeadModel");
  const std::string message = load();
  EXPECT_NE(message.find("GPT2LMHeadModel"), std::string::npos) << message;
  EXPECT_NE(message.find("Qwen2ForCausalLM"), std::string::npos) << message;
}

TEST(Registry, ListsArchitectures) {
  EXPECT_EQ(supported_architectures(),
            (std::vector<std::string>{"LlamaForCausalLM", "Qwen2ForCausalLM"}));
}

}  // namespace
}  // namespace stamp
