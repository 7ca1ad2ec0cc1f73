#include "stamp/pipelines/prompt_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "stamp/core/progress.h"
#include "stamp/io/safetensors.h"
#include "stamp/io/tensor_digest.h"
#include "stamp/models/kv_cache_file.h"
#include "tests/io/test_files.h"
#include "tests/pipelines/tiny_model.h"

namespace stamp {
namespace {

using Ids = std::vector<int32_t>;
constexpr const char* kStamp = "w4a8kv4-stamp";

Ids some_ids(size_t count) {
  Ids ids;
  for (size_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>((i * i + 3 * i) % 61));
  return ids;
}

/// All bytes of a cache.
std::string content(const KvCache& cache) {
  std::string bytes;
  for (const auto& [name, tensor] : kv_cache_tensors(cache)) {
    bytes += name;
    for (const std::string_view piece : tensor.pieces) bytes += piece;
  }
  return bytes;
}

class PromptCache : public testing::Test {
 protected:
  TinyModel directory{"prompt_cache"};
  TempDirectory folder;
  std::filesystem::path file = folder.path() / "prompt.cache";
  Rng rng{0};

  TextModel open(const std::string& recipe, Execution execution = Execution::kInteger) const {
    return open_text_model(
        {.model = directory.path(), .recipe = load_recipe(recipe), .execution = execution});
  }
  OpenedPrompt opened(TextModel& text, const Ids& prompt, const PromptCacheOptions& options) const {
    return open_prompt(text, prompt, 20, options, text.context);
  }
  Ids generate(TextModel& text, OpenedPrompt& prompt) {
    return prompt.session.generate({.max_new_tokens = 20}, rng, text.context);
  }
  /// The error of a prompt that starts with the file.
  std::string load_error(TextModel& text) const {
    return runtime_error_of([&] { opened(text, {}, {.load_cache = file}); });
  }
  void save(const std::string& recipe, size_t tokens) const {
    TextModel text = open(recipe);
    opened(text, some_ids(tokens), {.save_cache = file});
  }

  /// Writes the file anew, with a checksum that fits, after `change`.
  template <class Change>
  void rewrite(Change&& change) const {
    std::map<std::string, std::vector<char>> data;
    std::map<std::string, TensorView> tensors;
    std::map<std::string, std::string> metadata;
    {
      const Safetensors original = Safetensors::open(file);
      metadata = original.metadata();
      for (const auto& [name, tensor] : original.tensors()) {
        const auto* bytes = static_cast<const char*>(tensor.data);
        data[name] = {bytes, bytes + tensor.bytes()};
        tensors[name] = {tensor.dtype, tensor.shape, data[name].data()};
      }
    }
    change(tensors, data, metadata);
    TensorDigest digest;
    for (const auto& [key, value] : metadata) digest.add_text(key + '=' + value);
    for (const auto& [name, tensor] : tensors)
      if (name != "sha256") digest.add(name, tensor);
    const std::string sum = digest.finish();
    if (tensors.contains("sha256")) tensors["sha256"].data = sum.data();
    write_safetensors(file, tensors, metadata);
  }
  /// The error after one tensor has become another one.
  std::string error_with(const std::string& name, const TensorView& tensor) {
    save(kStamp, 70);
    rewrite([&](auto& tensors, auto&, auto&) { tensors[name] = tensor; });
    TextModel text = open(kStamp);
    return load_error(text);
  }
};

TEST_F(PromptCache, GoesOnWithTheBitsThatWereSaved) {
  for (const std::string& name : preset_names()) {
    const Recipe recipe = load_recipe(name);
    if (recipe.needs_calibration() || recipe.needs_weight_calibration()) continue;
    TextModel text = open(name);
    for (const size_t tokens : {1, 63, 64, 130}) {
      const Ids prompt = some_ids(tokens);
      OpenedPrompt first = opened(text, prompt, {.save_cache = file});
      EXPECT_EQ(first.reused, 0);
      const Matrix hidden = first.session.last_hidden();
      const std::string cache = content(first.session.cache());
      const Ids want = generate(text, first);
      EXPECT_EQ(want, generate_ids(*text.model, prompt, {.max_new_tokens = 20}, text.context));
      TextModel other = open(name);
      for (const Ids& again : {prompt, Ids{}}) {
        OpenedPrompt second = opened(other, again, {.load_cache = file});
        EXPECT_EQ(second.reused, static_cast<int64_t>(tokens)) << name;
        EXPECT_EQ(second.session.ids(), prompt);
        ASSERT_EQ(second.session.last_hidden().size(), hidden.size());
        EXPECT_EQ(std::memcmp(second.session.last_hidden().data(), hidden.data(),
                              static_cast<size_t>(hidden.size()) * sizeof(float)),
                  0);
        EXPECT_EQ(content(second.session.cache()), cache) << name << " " << tokens;
        EXPECT_EQ(generate(other, second), want) << name << " " << tokens;
        EXPECT_EQ(content(second.session.cache()), content(first.session.cache())) << name;
      }
    }
  }
}

TEST_F(PromptCache, ALongerPromptGoesOnAsASessionDoes) {
  for (const char* name : {"bf16", kStamp}) {
    TextModel text = open(name);
    const Ids whole = some_ids(150), begin(whole.begin(), whole.begin() + 100);
    OpenedPrompt first = opened(text, begin, {.save_cache = file});
    TokenSession session(*text.model, 200);
    session.append(begin);
    ASSERT_TRUE(session.prefill(text.context));
    session.append(std::span(whole).subspan(100));
    const Ids want = session.generate({.max_new_tokens = 20}, rng, text.context);
    // The same file is read and written.
    OpenedPrompt second = opened(text, whole, {.load_cache = file, .save_cache = file});
    EXPECT_EQ(second.reused, 100);
    EXPECT_EQ(generate(text, second), want) << name;
    EXPECT_EQ(content(second.session.cache()), content(session.cache())) << name;
    OpenedPrompt third = opened(text, {}, {.load_cache = file});
    EXPECT_EQ(third.session.ids(), whole);
    EXPECT_EQ(generate(text, third), want) << name;
  }
}

TEST_F(PromptCache, OtherEndingsKeepWhatTheyShare) {
  const struct {
    const char* recipe;
    int64_t common, reused;
  } cases[] = {
      {"bf16", 100, 100}, {"bf16", 0, 0}, {kStamp, 100, 64}, {kStamp, 63, 0}, {kStamp, 129, 129}};
  for (const auto& item : cases) {
    save(item.recipe, 130);
    TextModel text = open(item.recipe);
    Ids prompt = some_ids(130);
    for (size_t i = static_cast<size_t>(item.common); i < prompt.size(); ++i)
      prompt[i] = (prompt[i] + 1) % 61;
    OpenedPrompt other = opened(text, prompt, {.load_cache = file});
    EXPECT_EQ(other.reused, item.reused) << item.recipe << " " << item.common;
    EXPECT_EQ(other.session.ids(), prompt);
    EXPECT_EQ(generate(text, other).size(), 20u);
  }
  // A prompt that ends within the saved one: its last token is computed.
  TextModel text = open("bf16");
  opened(text, some_ids(130), {.save_cache = file});
  OpenedPrompt shorter = opened(text, some_ids(50), {.load_cache = file});
  EXPECT_EQ(shorter.reused, 49);
  EXPECT_EQ(generate(text, shorter),
            generate_ids(*text.model, some_ids(50), {.max_new_tokens = 20}, text.context));
}

TEST_F(PromptCache, IsOfOneModelRecipeAndArithmetic) {
  save(kStamp, 70);
  TextModel text = open(kStamp);
  EXPECT_EQ(load_error(text), "");
  text.context.compute = Compute::kBF16;
  EXPECT_HAS(load_error(text), "made by another arithmetic (compute); make it anew");
  TextModel recipe = open("w4a8kv4");
  EXPECT_HAS(load_error(recipe), "prompt.cache: the cache was made by another recipe");
  TextModel simulated = open(kStamp, Execution::kSimulated);
  EXPECT_HAS(load_error(simulated), "made by another execution");
  TextModel calibrated = open(kStamp);
  calibrated.calibration["layers.0.k"].skip_tokens = 2;
  EXPECT_HAS(load_error(calibrated), "made by another calibration");

  const auto weights = directory.path() / "model.safetensors";
  std::string changed = read_text(weights);
  changed[changed.size() / 2] ^= 1;
  std::ofstream(weights, std::ios::binary) << changed;
  TextModel model = open(kStamp);
  EXPECT_HAS(load_error(model), "made by another model, or weights that have changed since");
  changed[changed.size() / 2] ^= 1;
  std::ofstream(weights, std::ios::binary) << changed;
  Json config = read_json(directory.path() / "config.json");
  config["rms_norm_eps"] = 0.5;
  std::ofstream(directory.path() / "config.json") << config.dump();
  TextModel other = open(kStamp);
  EXPECT_HAS(load_error(other), "made by another model");
}

TEST_F(PromptCache, EveryDamageIsAnError) {
  save(kStamp, 70);
  TextModel text = open(kStamp);
  const std::string good = read_text(file);
  ASSERT_EQ(load_error(text), "");
  for (size_t i = 0; i < good.size(); i += i < 4096 ? 7 : 501) {
    std::string bad = good;
    bad[i] ^= 1;
    folder.write("prompt.cache", bad);
    EXPECT_NE(load_error(text), "") << i;
    folder.write("prompt.cache", good.substr(0, i));
    EXPECT_NE(load_error(text), "") << "cut at " << i;
  }
  folder.write("prompt.cache", good + "x");
  EXPECT_EQ(load_error(text), "");  // what follows the tensors is not read
  std::filesystem::remove(file);
  EXPECT_HAS(load_error(text), "prompt.cache: cannot open");
}

TEST_F(PromptCache, TensorsMustFitTheModel) {
  const std::vector<float> floats(1 << 16, std::numeric_limits<float>::quiet_NaN());
  std::vector<int32_t> ids(1 << 16, 1);
  const auto of_ids = [&](int64_t count) { return TensorView{DType::kI32, {count}, ids.data()}; };
  EXPECT_HAS(error_with("ids", of_ids(0)), "'ids': expected I32 [1..256], got I32 [0]");
  EXPECT_HAS(error_with("ids", of_ids(257)), "got I32 [257]");
  EXPECT_HAS(error_with("ids", {DType::kF32, {70}, floats.data()}), "got F32 [70]");
  EXPECT_HAS(error_with("ids", {DType::kI32, {7, 10}, ids.data()}), "got I32 [7, 10]");
  EXPECT_HAS(error_with("ids", of_ids(71)), "'layers.0.k': expected F32 [7, 16], got F32 [6, 16]");
  EXPECT_HAS(error_with("ids", of_ids(200)), "'layers.0.blocks': expected U8");
  EXPECT_HAS(error_with("hidden", {DType::kF32, {1, 5}, floats.data()}), "'hidden': expected F32");
  EXPECT_HAS(error_with("layers.1.v", {DType::kF32, {5, 16}, floats.data()}), "'layers.1.v'");
  EXPECT_HAS(error_with("layers.1.blocks", {DType::kU8, {64}, ids.data()}), "'layers.1.blocks'");
  EXPECT_HAS(error_with("sha256", {DType::kF32, {16}, floats.data()}), "damaged");
  for (const int32_t id : {-1, 64, INT32_MIN}) {
    ids[3] = id;
    EXPECT_HAS(error_with("ids", of_ids(70)), "which is outside [0, 64)");
  }
}

TEST_F(PromptCache, MetadataAndNamesMustBeThere) {
  const auto error = [&](auto&& change) {
    save(kStamp, 70);
    rewrite(change);
    TextModel text = open(kStamp);
    return load_error(text);
  };
  EXPECT_HAS(error([](auto&, auto&, auto& metadata) { metadata.clear(); }),
             "not a prompt cache, its 'format' is ''");
  EXPECT_HAS(error([](auto&, auto&, auto& metadata) { metadata["version"] = "2"; }),
             "expected layout version 1, got '2'");
  for (const char* key : {"model", "recipe", "calibration", "execution", "compute"})
    EXPECT_HAS(error([&](auto&, auto&, auto& metadata) { metadata.erase(key); }), "was made by");
  for (const char* name : {"ids", "hidden", "layers.0.blocks", "layers.1.k", "sha256"})
    EXPECT_HAS(error([&](auto& tensors, auto&, auto&) { tensors.erase(name); }), name);
}

/// Bytes that nobody computed give tokens or an error, nothing else.
TEST_F(PromptCache, AnyBytesAreTakenForCodesAndRows) {
  TextModel text = open(kStamp);
  for (int seed = 0; seed < 20; ++seed) {
    save(kStamp, 130);
    rewrite([&](auto&, auto& data, auto&) {
      Rng bytes(static_cast<uint64_t>(seed));
      for (const char* name : {"layers.0.blocks", "layers.1.blocks", "layers.0.k", "layers.1.v"})
        for (char& byte : data.at(name)) byte = static_cast<char>(bytes.below(256));
    });
    OpenedPrompt opened_prompt = opened(text, {}, {.load_cache = file});
    const std::string error = runtime_error_of([&] { generate(text, opened_prompt); });
    if (!error.empty()) {
      EXPECT_HAS(error, "expected finite logits");
    }
  }
}

TEST_F(PromptCache, NothingIsWrittenAfterAnInterruption) {
  TextModel text = open(kStamp);
  interrupt();
  OpenedPrompt prompt = opened(text, some_ids(70), {.save_cache = file});
  EXPECT_EQ(generate(text, prompt), Ids{});
  clear_interrupt();
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_EQ(generate(text, prompt).size(), 20u);
}

TEST_F(PromptCache, RefusesWhatCannotWork) {
  TextModel text = open(kStamp);
  EXPECT_THROW(opened(text, {}, {}), std::invalid_argument);
  EXPECT_THROW(opened(text, some_ids(257), {}), std::invalid_argument);
  save(kStamp, 70);
  EXPECT_THROW(opened(text, some_ids(257), {.load_cache = file}), std::invalid_argument);
  EXPECT_HAS(runtime_error_of(
                 [&] { opened(text, some_ids(3), {.save_cache = folder.path() / "none" / "x"}); }),
             "none/x");
  TokenSession session(*text.model, 10);
  session.append(some_ids(3));
  EXPECT_THROW(save_prompt_cache(file, text, Compute::kF32, session), std::invalid_argument);
}

TEST_F(PromptCache, EndsAtTheModelsLength) {
  save(kStamp, 250);
  TextModel text = open(kStamp);
  OpenedPrompt prompt = opened(text, {}, {.load_cache = file});
  EXPECT_EQ(generate(text, prompt).size(), 6u);
}

}  // namespace
}  // namespace stamp
