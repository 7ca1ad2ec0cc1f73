// stamp quantize: round trips, resuming, and what must be refused.
#include "stamp/pipelines/quantize.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "stamp/core/parallel.h"
#include "stamp/core/rng.h"
#include "stamp/io/safetensors.h"
#include "stamp/io/sha256.h"
#include "stamp/models/calibration_file.h"
#include "stamp/models/model.h"
#include "stamp/pipelines/bench_runner.h"
#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/quantize_shard.h"
#include "stamp/pipelines/work_directory.h"
#include "stamp/text/tokenizer.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;
const fs::path kModels = fs::path(STAMP_SOURCE_DIR) / "tests/data/llm";

Recipe weights_only(int bits, int group = 0) {
  Recipe recipe;
  recipe.name = "test";
  recipe.weights = {.bits = bits, .group = group, .mse_clip = true};
  return recipe;
}

Recipe rotated() {
  Recipe recipe = weights_only(4);
  recipe.feature = "hadamard";
  recipe.lm_head.bits = 8;
  recipe.embedding_bits = 8;
  recipe.activations.bits = recipe.k.bits = recipe.v.bits = 4;
  return recipe;
}

Recipe fused() {
  Recipe recipe = rotated();
  recipe.feature = "quarot";
  recipe.seed = 5;
  return recipe;
}

/// Contents of a directory without the manifest, which names commands and paths.
std::map<std::string, std::string> hashes(const fs::path& folder) {
  std::map<std::string, std::string> result;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name != "manifest.json") result[name] = sha256_file(entry.path());
  }
  return result;
}

Matrix hidden_states(const Model& model) {
  Rng rng(3);
  std::vector<int32_t> ids;
  for (int i = 0; i < 80; ++i) ids.push_back(static_cast<int32_t>(rng.below(64)));
  KvCache cache = model.make_cache(80);
  ForwardContext context;
  const Matrix hidden = model.forward(ids, cache, context);
  Matrix logits(hidden.rows(), model.config().vocab_size);
  model.logits(hidden.view(), logits.view(), context);
  return logits;
}

class Quantize : public testing::Test {
 protected:
  TempDirectory dir;
  fs::path out = dir.path() / "out";
  QuantizeOptions options(const Recipe& recipe, const char* model = "llama") {
    return {.model = kModels / model / "ckpt", .out = out, .recipe = recipe, .command = "test"};
  }
};

/// The stored model computes what the plain one does under the same recipe.
void expect_same_model(const fs::path& plain, const fs::path& stored, const Recipe& recipe) {
  const auto source = ModelSource::open(stored);
  ASSERT_NE(source->stored_recipe(), nullptr);
  EXPECT_EQ(to_json(*source->stored_recipe()), to_json(recipe));
  const Matrix want = hidden_states(*make_model(
      ModelSource::open(plain), {.recipe = recipe, .calibration = &source->stored_calibration()}));
  const Matrix got = hidden_states(
      *make_model(source, {.recipe = recipe, .calibration = &source->stored_calibration()}));
  EXPECT_TRUE(std::equal(got.data(), got.data() + got.size(), want.data()));
}

TEST_F(Quantize, StoredModelsEqualSimulatedOnesBitForBit) {
  for (const char* model : {"llama", "qwen2"})
    for (const Recipe& recipe : {weights_only(4), weights_only(8), weights_only(3, 64),
                                 weights_only(4, 64), weights_only(4, 128), rotated(), fused()}) {
      SCOPED_TRACE(std::string(model) + " " + to_json(recipe).dump());
      quantize(options(recipe, model));
      expect_same_model(kModels / model / "ckpt", out, recipe);
      EXPECT_FALSE(fs::exists(out.string() + ".partial"));
      fs::remove_all(out);
    }
}

TEST_F(Quantize, GgufFilesGiveWhatTheirDirectoriesGive) {
  const fs::path files = fs::path(STAMP_SOURCE_DIR) / "tests/data/gguf";
  for (const char* model : {"llama", "qwen2"}) {
    QuantizeOptions wanted = options(rotated(), model);
    quantize(wanted);
    const auto want = hashes(out);
    fs::remove_all(out);
    wanted.model = files / (std::string(model) + "-f32.gguf");
    quantize(wanted);
    for (const auto& [name, hash] : want)
      if (name.ends_with(".safetensors") || name.ends_with("index.json")) {
        EXPECT_EQ(sha256_file(out / name), hash) << name;
      }
    EXPECT_EQ(Tokenizer::load(out).encode("a b\n"), Tokenizer::load(wanted.model).encode("a b\n"));
    expect_same_model(wanted.model, out, wanted.recipe);
    fs::remove_all(out);
  }
}

TEST_F(Quantize, BlocksThatStayAreWrittenAsF16) {
  QuantizeOptions wanted = options(weights_only(8));
  wanted.model = fs::path(STAMP_SOURCE_DIR) / "tests/data/gguf/llama-q8_0.gguf";
  quantize(wanted);
  const auto stored = ModelSource::open(out), source = ModelSource::open(wanted.model);
  const TensorView& table = stored->weights().at("model.embed_tokens.weight");
  EXPECT_EQ(table.dtype, DType::kF16);
  const Matrix want = to_matrix(source->weights().at("model.embed_tokens.weight"));
  const Matrix got = to_matrix(table);
  for (int64_t i = 0; i < want.size(); ++i)
    ASSERT_NEAR(got.data()[i], want.data()[i], std::abs(want.data()[i]) * 0x1p-11);
  const Matrix plain = hidden_states(*make_model(source));
  const Matrix own = hidden_states(*make_model(stored, {.recipe = stored->reference_recipe()}));
  for (int64_t i = 0; i < own.size(); ++i) ASSERT_NEAR(own.data()[i], plain.data()[i], 0.2);
}

TEST_F(Quantize, ExcludedGroupsStayPlain) {
  Recipe recipe = rotated();
  recipe.exclude = {"layers.1.mlp.up_proj"};
  quantize(options(recipe));
  expect_same_model(kModels / "llama/ckpt", out, recipe);
  const Safetensors tensors = Safetensors::open_model(out);
  EXPECT_TRUE(tensors.contains("model.layers.1.mlp.gate_proj.weight"));
  EXPECT_TRUE(tensors.contains("model.layers.1.mlp.down_proj.weight_packed"));
}

TEST_F(Quantize, WritesAnOrdinaryDirectory) {
  const QuantizeResult result = quantize(options(weights_only(4, 8)));
  EXPECT_EQ(result.sizes.format, "compressed-tensors");
  EXPECT_EQ(result.sizes.files, 3);  // embeddings and two layers
  const Json config = read_json(out / "config.json");
  EXPECT_EQ(config["quantization_config"]["format"], "pack-quantized");
  EXPECT_EQ(config["quantization_config"]["ignore"], Json({"lm_head"}));
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_TRUE(fs::exists(out / "generation_config.json"));
  const Json manifest = read_json(out / "manifest.json");
  EXPECT_EQ(manifest["command"], "test");
  for (const auto& [file, hash] : hashes(out))
    EXPECT_EQ(manifest["files"].at(file).at("sha256"), hash) << file;
  int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(out))
    if (entry.path().extension() == ".safetensors")
      bytes += static_cast<int64_t>(fs::file_size(entry.path()));
  EXPECT_EQ(bytes, result.sizes.output_bytes);
}

TEST_F(Quantize, OnlyWeightOnlyRecipesNameCompressedTensors) {
  const auto method = [&](const Recipe& recipe) {
    return estimate_quantize(options(recipe)).format;
  };
  EXPECT_EQ(method(weights_only(4)), "compressed-tensors");
  EXPECT_EQ(method(weights_only(4, 64)), "stamp");  // rows of 32 are no multiple of 64
  EXPECT_EQ(method(rotated()), "stamp");
  Recipe recipe = weights_only(4);
  recipe.v.bits = 8;
  EXPECT_EQ(method(recipe), "stamp");
}

TEST_F(Quantize, TiedHeadsAreStoredApart) {
  Recipe recipe = weights_only(4);
  recipe.lm_head.bits = 8;
  quantize(options(recipe));
  EXPECT_EQ(read_json(out / "config.json")["tie_word_embeddings"], false);
  const Safetensors tensors = Safetensors::open_model(out);
  EXPECT_TRUE(tensors.contains("model.embed_tokens.weight"));
  EXPECT_TRUE(tensors.contains("lm_head.weight_packed"));
  expect_same_model(kModels / "llama/ckpt", out, recipe);
}

TEST_F(Quantize, CalibratedAndCenteredModelsKeepTheirStatistics) {
  const fs::path model = fs::path(STAMP_SOURCE_DIR) / "demo/llm";
  Recipe recipe = weights_only(4);
  recipe.weights.mse_clip = false;
  recipe.feature = "hadamard";
  recipe.center = "auto";
  recipe.activations = {.bits = 4, .plan = {.kind = "waterfill", .average_bits = 4.5}};
  QuantizeOptions wanted = options(recipe);
  wanted.model = model;
  wanted.calibration = dir.write("text", read_text(model / "calibration.txt").substr(0, 6000));
  quantize(wanted);
  expect_same_model(model, out, recipe);
  const auto source = ModelSource::open(out);
  int centered = 0;
  for (const auto& [site, statistics] : source->stored_calibration()) {
    EXPECT_FALSE(statistics.range2.empty()) << site;
    centered += statistics.center;
  }
  EXPECT_GT(centered, 0);
  recipe.center = "none";  // the plain biases are there as well
  EXPECT_NO_THROW(
      make_model(source, {.recipe = recipe, .calibration = &source->stored_calibration()}));
  EXPECT_NO_THROW(BenchRunner({.model = out, .prefill = 8}, recipe, source));
}

TEST_F(Quantize, CalibratedTransformsAndCodesAreStoredWithTheWeights) {
  const fs::path model = fs::path(STAMP_SOURCE_DIR) / "demo/llm";
  Recipe recipe = weights_only(4);
  recipe.activations.bits = 4;
  recipe.feature = "smoothquant";
  recipe.smoothing.all_inputs = true;
  recipe.weights = {.bits = 4, .group = 64, .rank = 4};
  recipe.exclude = {"layers.1.", "layers.2.", "layers.3.", "layers.4.", "layers.5."};
  QuantizeOptions wanted = options(recipe);
  wanted.model = model;
  wanted.calibration = dir.write("text", read_text(model / "calibration.txt").substr(0, 5000));
  quantize(wanted);
  const auto source = ModelSource::open(out), plain = ModelSource::open(model);
  const WeightCodes codes = [&] {
    WeightCodes all;
    const OutputPlan plan = plan_output(*plain, recipe, &source->stored_calibration());
    for (const OutputShard& shard : plan.shards) all.merge(read_codes(shard, out));
    return all;
  }();
  EXPECT_EQ(codes.at("layers.0.mlp.up_proj").branch.up.cols(), 4);
  const Calibration& calibration = source->stored_calibration();
  const Matrix want = hidden_states(
      *make_model(plain, {.recipe = recipe, .calibration = &calibration, .codes = &codes}));
  const Matrix got = hidden_states(*make_model(source, {.recipe = recipe}));
  EXPECT_TRUE(std::equal(got.data(), got.data() + got.size(), want.data()));
  // Other ranges under the same transform.
  recipe.activations.plan.kind = "waterfill";
  EXPECT_NO_THROW(calibration_for(source, recipe, [] {
    CalibrateOptions text{.context = 64};
    for (int i = 0; i < 200; ++i) text.ids.push_back(i);
    return text;
  }));
}

TEST_F(Quantize, CenteredBiasesAddTheMeanThroughTheUnroundedWeight) {
  const auto source = ModelSource::open(kModels / "qwen2/ckpt");
  Recipe recipe = weights_only(4);
  recipe.feature = "hadamard";
  recipe.activations.bits = 4;
  recipe.center = "auto";
  Calibration calibration;
  for (const char* layer : {"layers.0.", "layers.1."})
    for (const char* input : {"attn_in", "o_in", "mlp_in", "down_in"})
      calibration[std::string(layer) + input] = {};
  calibration["layers.1.attn_in"] = {.mean = std::vector<float>(32, 0.5f), .center = true};
  const OutputPlan plan = plan_output(*source, recipe, &calibration);
  ByteProgress progress(1);
  write_shard(plan.shards[2], dir.path(), progress);
  const Safetensors written = Safetensors::open(dir.path() / plan.shards[2].file);
  const std::string name = "model.layers.1.self_attn.k_proj";
  Matrix rotated_weight = to_matrix(source->weights().at(name + ".weight"));
  apply_hadamard(rotated_weight.view(), plan_hadamard(32));
  const Matrix bias = to_matrix(source->weights().at(name + ".bias"));
  const Matrix got = to_matrix(written.at(name + ".centered_bias"));
  for (int64_t i = 0; i < got.cols(); ++i) {
    double want = bias(0, i);
    for (int64_t k = 0; k < 32; ++k) want += 0.5 * rotated_weight(i, k);
    EXPECT_NEAR(got(0, i), want, 1e-5);
  }
  EXPECT_TRUE(written.contains(name + ".bias"));
  EXPECT_FALSE(written.contains("model.layers.1.mlp.up_proj.centered_bias"));
}

TEST_F(Quantize, ServesOtherActivationsButNoOtherWeights) {
  quantize(options(rotated()));
  const auto source = ModelSource::open(out);
  Recipe recipe = rotated();
  recipe.activations.bits = 8;
  recipe.k = recipe.v = {};
  EXPECT_NO_THROW(make_model(source, {.recipe = recipe}));
  EXPECT_NO_THROW(make_model(source, {.recipe = source->reference_recipe()}));
  const auto message = [&](auto&& change) {
    Recipe other = rotated();
    change(other);
    try {
      make_model(source, {.recipe = other});
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_HAS(message([](Recipe& r) { r.weights.bits = 8; }), "weights is");
  EXPECT_HAS(message([](Recipe& r) { r.feature = "none"; }), "feature is");
  EXPECT_HAS(message([](Recipe& r) { r.lm_head.bits = 16; }), "lm_head is");
  EXPECT_HAS(message([](Recipe& r) { r.embedding_bits = 16; }), "embedding_bits is");
  EXPECT_HAS(message([](Recipe& r) { r.exclude = {"down"}; }), "exclude is");
  EXPECT_HAS(message([](Recipe& r) { r.center = "static"; }), "center is");
  EXPECT_THROW(make_model(source), std::invalid_argument);  // no plain weights here
}

TEST_F(Quantize, RefusesWhatCannotBeStored) {
  EXPECT_THROW(quantize(options({})), std::invalid_argument);
  Recipe recipe = weights_only(4);
  recipe.weights.symmetric = false;
  EXPECT_THROW(quantize(options(recipe)), std::invalid_argument);
  quantize(options(weights_only(4)));
  QuantizeOptions again = options(weights_only(4));
  EXPECT_THROW(quantize(again), std::invalid_argument);  // exists
  again.force = true;
  EXPECT_NO_THROW(quantize(again));
  again.model = out;
  again.out = dir.path() / "twice";
  EXPECT_THROW(quantize(again), std::invalid_argument);  // quantized already
  EXPECT_FALSE(fs::exists(dir.path() / "twice.partial"));
}

TEST_F(Quantize, RefusesAnotherRecipeInTheSamePlace) {
  { WorkDirectory work(out, {{"recipe", 1}, {"model", 2}}, "first command"); }
  try {
    WorkDirectory work(out, {{"recipe", 3}, {"model", 2}}, "");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_HAS(std::string(error.what()), "begun by 'first command' and has another recipe now");
  }
}

TEST_F(Quantize, OneWriterAtATime) {
  const WorkDirectory work(out, Json::object(), "");
  EXPECT_HAS(runtime_error_of([&] { WorkDirectory(out, Json::object(), ""); }),
             "another process is writing there");
}

TEST_F(Quantize, DamagedJournalsAndUnwritableFoldersAreErrors) {
  fs::create_directory(out.string() + ".partial");
  dir.write("out.partial/journal.json", "{\"identity\": 3}");
  EXPECT_HAS(runtime_error_of([&] { quantize(options(weights_only(4))); }), "not a journal");
  QuantizeOptions nowhere = options(weights_only(4));
  nowhere.out = dir.path() / "missing" / "out";
  EXPECT_HAS(runtime_error_of([&] { quantize(nowhere); }), "cannot create the folder");
}

/// Runs quantize() in a process of its own, ended after `microseconds` (0: never). True when it
/// finished.
bool quantize_in_child(const QuantizeOptions& options, useconds_t microseconds,
                       rlim_t largest_file = RLIM_INFINITY) {
  const pid_t child = ::fork();
  if (child == 0) {
    set_threads(1);
    const rlimit limit{largest_file, largest_file};
    std::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      quantize(options);
    } catch (const std::exception& error) {
      fprintf(stderr, "child: %s\n", error.what());
      ::_exit(1);
    }
    ::_exit(0);
  }
  if (microseconds > 0) {
    ::usleep(microseconds);
    ::kill(child, SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_F(Quantize, KilledAtAnyMomentItEndsWithTheSameBytes) {
  const QuantizeOptions wanted = options(rotated());
  ASSERT_TRUE(quantize_in_child(wanted, 0));
  const auto want = hashes(out);
  const fs::path partial = out.string() + ".partial";
  Rng rng(11);
  int killed = 0;
  for (int round = 0; round < 5; ++round) {
    fs::remove_all(out);
    for (int attempt = 0; !fs::exists(out) && attempt < 20; ++attempt)
      killed += !quantize_in_child(wanted, static_cast<useconds_t>(500 + rng.below(20'000)));
    if (!fs::exists(out) || fs::exists(partial)) {
      EXPECT_TRUE(quantize_in_child(wanted, 0));
    }
    EXPECT_EQ(hashes(out), want);
    EXPECT_FALSE(fs::exists(partial));
  }
  EXPECT_GT(killed, 0);
}

TEST_F(Quantize, ResumesWithoutRedoingFinishedFiles) {
  quantize(options(rotated()));
  const auto want = hashes(out);
  fs::remove_all(out);
  // Stop after two files by forbidding the third, which is the largest.
  QuantizeOptions wanted = options(rotated());
  EXPECT_FALSE(quantize_in_child(wanted, 0, 6000));
  EXPECT_FALSE(fs::exists(out));
  const fs::path content = out.string() + ".partial/content";
  ASSERT_TRUE(fs::exists(content));
  EXPECT_FALSE(fs::exists(content / "config.json"));
  const QuantizeResult result = quantize(wanted);
  EXPECT_EQ(hashes(out), want);
  EXPECT_EQ(result.sizes.files, 4);
  EXPECT_EQ(result.resumed_files, 1);  // the embeddings
}

TEST_F(Quantize, CalibratedCodesAreTheSameAfterAnInterruption) {
  const fs::path model = fs::path(STAMP_SOURCE_DIR) / "demo/llm";
  Recipe recipe = weights_only(4);
  recipe.weights = {.bits = 4, .quantizer = "gptq"};
  recipe.feature = "hadamard";
  QuantizeOptions wanted = options(recipe);
  wanted.model = model;
  wanted.calibration = dir.write("text", read_text(model / "calibration.txt").substr(0, 6000));
  ASSERT_TRUE(quantize_in_child(wanted, 0));
  const auto want = hashes(out);
  fs::remove_all(out);
  const fs::path content = out.string() + ".partial/content";
  const pid_t child = ::fork();
  if (child == 0) {
    set_threads(1);
    quantize(wanted);
    ::_exit(0);
  }
  while (!fs::exists(content / "model-00003-of-00009.safetensors") && !fs::exists(out))
    ::usleep(1000);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  if (!fs::exists(out)) {
    ASSERT_TRUE(quantize_in_child(wanted, 0));
  }
  EXPECT_EQ(hashes(out), want);
}

TEST_F(Quantize, HarmedFilesAreWrittenAgain) {
  WorkDirectory first(out, Json::object(), "");
  dir.write("out.partial/content/a", "good");
  dir.write("out.partial/content/b", "good");
  first.finish("a");
  first.finish("b");
  dir.write("out.partial/content/b", "evil");
  dir.write("out.partial/content/c", "unknown");
  { const WorkDirectory gone = std::move(first); }
  const WorkDirectory second(out, Json::object(), "");
  EXPECT_TRUE(second.is_finished("a"));
  EXPECT_FALSE(second.is_finished("b"));
  EXPECT_FALSE(fs::exists(second.content() / "b"));
  EXPECT_FALSE(fs::exists(second.content() / "c"));
}

TEST_F(Quantize, FullDiskIsAClearError) {
  QuantizeOptions wanted = options(weights_only(4));
  const std::string message = [&] {
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit before;
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit tight{5000, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &tight);
    std::string text = runtime_error_of([&] { quantize(wanted); });
    ::setrlimit(RLIMIT_FSIZE, &before);
    return text;
  }();
  EXPECT_HAS(message, "cannot write");
  EXPECT_HAS(message, "the same command continues there");
  EXPECT_FALSE(fs::exists(out));
  EXPECT_NO_THROW(quantize(wanted));
}

TEST_F(Quantize, DryRunWritesNothing) {
  const QuantizeEstimate estimate = estimate_quantize(options(rotated()));
  EXPECT_GT(estimate.output_bytes, 0);
  EXPECT_LT(estimate.bits_per_weight, 12);
  EXPECT_GT(estimate.seconds, 0);
  EXPECT_GT(estimate.peak_bytes, 0);
  EXPECT_TRUE(fs::is_empty(dir.path()));
  EXPECT_EQ(quantize(options(rotated())).sizes.output_bytes, estimate.output_bytes);
}

/// A stored directory that a test can damage.
class BrokenStored : public Quantize {
 protected:
  std::map<std::string, TensorView> tensors;
  std::shared_ptr<Safetensors> original;
  Json config;

  void SetUp() override {
    quantize(options(weights_only(4, 16)));
    original = std::make_shared<Safetensors>(Safetensors::open_model(out));
    tensors = original->tensors();
    config = read_json(out / "config.json");
  }
  /// The message of the error that loading gives.
  std::string load() {
    const TempDirectory damaged;
    fs::copy(out / "recipe.json", damaged.path() / "recipe.json");
    damaged.write("config.json", config.dump());
    write_safetensors(damaged.path() / "model.safetensors", tensors);
    return runtime_error_of([&] {
      const auto source = ModelSource::open(damaged.path());
      make_model(source, {.recipe = *source->stored_recipe()});
    });
  }
};

TEST_F(BrokenStored, LoadsUndamaged) { EXPECT_EQ(load(), ""); }

TEST_F(BrokenStored, NamesWhatIsMissingOrWrong) {
  const std::string name = "model.layers.1.self_attn.o_proj";
  for (const char* part : {".weight_packed", ".weight_scale", ".weight_shape"}) {
    const TensorView before = tensors.at(name + part);
    tensors.erase(name + part);
    EXPECT_HAS(load(), name + part);
    TensorView changed = before;
    changed.dtype = DType::kF32;
    changed.shape = {before.bytes() / 4};
    tensors[name + part] = changed;
    EXPECT_HAS(load(), name + part);
    changed = before;
    changed.shape = {before.shape[0] * (before.shape.size() > 1 ? before.shape[1] : 1), 1};
    tensors[name + part] = changed;
    EXPECT_HAS(load(), name + part);
    tensors[name + part] = before;
  }
}

TEST_F(BrokenStored, AbsurdShapesAndRecipes) {
  const std::vector<int64_t> absurd = {int64_t{1} << 62, -1};
  TensorView& shape = tensors.at("model.layers.0.mlp.up_proj.weight_shape");
  shape.data = absurd.data();
  EXPECT_HAS(load(), "weight_shape");
}

TEST_F(BrokenStored, RecipesThatDoNotFit) {
  const auto with = [&](auto&& change) {
    Json recipe = to_json(weights_only(4, 16));
    change(recipe);
    config["quantization_config"] = {{"quant_method", "stamp"}, {"recipe", recipe}};
    return load();
  };
  EXPECT_EQ(with([](Json&) {}), "");
  EXPECT_HAS(with([](Json& r) { r["weights"]["group"] = 1 << 30; }), "group");
  EXPECT_HAS(with([](Json& r) { r["weights"]["group"] = -4; }), "group");
  EXPECT_HAS(with([](Json& r) { r["weights"]["group"] = 8; }), "weight_scale");
  EXPECT_HAS(with([](Json& r) { r["weights"]["bits"] = 8; }), "weight_packed");
  EXPECT_HAS(with([](Json& r) { r["weights"]["bits"] = 40; }), "bits");
  EXPECT_HAS(with([](Json& r) { r["weights"]["symmetric"] = false; }), "asymmetric");
  EXPECT_HAS(with([](Json& r) {
               r["lm_head"]["bits"] = 8;
               r["schema"] = 7;
             }),
             "schema");
  EXPECT_HAS(with([](Json& r) { r = 3; }), "recipe");
  config["quantization_config"].erase("recipe");
  EXPECT_HAS(load(), "recipe");
  config["quantization_config"] = {{"quant_method", "fp8"}};
  EXPECT_HAS(load(), "fp8");
}

TEST(CalibrationFile, KeepsWhatModelsUse) {
  const TempDirectory dir;
  const Calibration calibration = {
      {"layers.0.attn_in", {.mean = {1, 2}, .range2 = {3}, .center = true}},
      {"layers.0.k", {.mean = {}, .range2 = {4, 5, 6}, .center = false}},
      {"layers.1.attn_in", {.mean = {7, 8}, .range2 = {}, .center = false}}};
  write_calibration(dir.path() / "c", calibration);
  const Calibration read = read_calibration(dir.path() / "c");
  ASSERT_EQ(read.size(), 2u);  // no model uses a mean that nothing is centered by
  EXPECT_TRUE(read.at("layers.0.attn_in").center);
  EXPECT_EQ(read.at("layers.0.attn_in").mean, (std::vector<float>{1, 2}));
  EXPECT_EQ(read.at("layers.0.k").range2, (std::vector<float>{4, 5, 6}));
}

TEST(CalibrationFile, RefusesWhatIsNoStatistic) {
  const TempDirectory dir;
  const auto error_of = [&](const std::string& name, TensorView tensor) {
    write_safetensors(dir.path() / "c", {{name, tensor}});
    return runtime_error_of([&] { read_calibration(dir.path() / "c"); });
  };
  const std::vector<float> bad = {1, -1, std::nanf("")};
  EXPECT_HAS(error_of("a.range2", {DType::kF32, {2}, bad.data()}), "a.range2");
  EXPECT_HAS(error_of("a.mean", {DType::kF32, {3}, bad.data()}), "not finite");
  EXPECT_HAS(error_of("a.mean", {DType::kF32, {1, 2}, bad.data()}), "vector");
  EXPECT_HAS(error_of("a.mean", {DType::kI32, {2}, bad.data()}), "F32");
  EXPECT_HAS(error_of("a.median", {DType::kF32, {2}, bad.data()}), "a.median");
  EXPECT_EQ(error_of("a.mean", {DType::kF32, {2}, bad.data()}), "");
}

}  // namespace
}  // namespace stamp
