// Tiny models against what transformers computes with them (tools/make_llm_goldens.py).
#include <gtest/gtest.h>

#include <cmath>

#include "stamp/io/safetensors.h"
#include "stamp/models/model.h"

namespace stamp {
namespace {

std::vector<int32_t> ids_of(const TensorView& tensor) {
  return {tensor.as<int64_t>(), tensor.as<int64_t>() + tensor.size()};
}

/// max |got - want| / max |want|.
double relative_error(const TensorView& want, ConstFloatView got) {
  std::vector<float> values(static_cast<size_t>(want.size()));
  to_f32(want, 0, values);
  EXPECT_EQ(want.size(), got.rows * got.cols);
  double error = 0, largest = 0;
  for (int64_t i = 0; i < want.size(); ++i) {
    const double expected = values[static_cast<size_t>(i)];
    error = std::max(error, std::abs(expected - got(i / got.cols, i % got.cols)));
    largest = std::max(largest, std::abs(expected));
  }
  return error / largest;
}

/// Compares every hidden state that passes.
struct HiddenStates : Observer {
  const Safetensors* oracle = nullptr;
  int seen = 0;
  void on_hidden(const std::string& name, ConstFloatView x) override {
    const std::string key = name.starts_with("layers.") ? "layer_" + name.substr(7) + "_out" : name;
    EXPECT_LT(relative_error(oracle->at(key), x), 2e-5) << key;
    ++seen;
  }
};

class Golden : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path folder =
      std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data/llm" / GetParam();
  Safetensors oracle = Safetensors::open(folder / "oracle.safetensors");
  std::shared_ptr<const ModelSource> source = ModelSource::open(folder / "ckpt");
  std::unique_ptr<Model> model = make_model(source);
  ForwardContext context;

  Matrix logits_of(ConstFloatView hidden) {
    Matrix out(hidden.rows, model->config().vocab_size);
    model->logits(hidden, out.view(), context);
    return out;
  }
};

TEST_P(Golden, HiddenStatesAndLogits) {
  const auto ids = ids_of(oracle.at("input_ids"));
  HiddenStates observer;
  observer.oracle = &oracle;
  context.observer = &observer;
  KvCache cache = model->make_cache(64);
  const Matrix hidden = model->forward(ids, cache, context);
  EXPECT_EQ(observer.seen, 4);
  EXPECT_EQ(cache.tokens(), static_cast<int64_t>(ids.size()));
  EXPECT_LT(relative_error(oracle.at("logits"), logits_of(hidden.view()).view()), 2e-5);
}

TEST_P(Golden, LongInputWholeInChunksAndTokenByToken) {
  const auto ids = ids_of(oracle.at("long_input_ids"));
  for (const size_t chunk : {size_t{200}, size_t{33}, size_t{1}}) {
    KvCache cache = model->make_cache(static_cast<int64_t>(ids.size()));
    Matrix hidden;
    for (size_t i = 0; i < ids.size(); i += chunk)
      hidden = model->forward(std::span(ids).subspan(i, std::min(chunk, ids.size() - i)), cache,
                              context);
    const Matrix logits = logits_of(hidden.view().rows_from(hidden.rows() - 1, 1));
    EXPECT_LT(relative_error(oracle.at("long_last_logits"), logits.view()), 2e-5) << chunk;
  }
}

TEST_P(Golden, GreedyContinuation) {
  const auto want = ids_of(oracle.at("greedy_ids"));
  const auto prompt = ids_of(oracle.at("prompt_ids"));
  KvCache cache = model->make_cache(64);
  std::vector<int32_t> got;
  Matrix hidden = model->forward(prompt, cache, context);
  while (got.size() < want.size()) {
    const Matrix logits = logits_of(hidden.view().rows_from(hidden.rows() - 1, 1));
    got.push_back(static_cast<int32_t>(
        std::max_element(logits.data(), logits.data() + logits.size()) - logits.data()));
    hidden = model->forward({&got.back(), 1}, cache, context);
  }
  EXPECT_EQ(got, want);
}

INSTANTIATE_TEST_SUITE_P(Llm, Golden, testing::Values("llama", "qwen2"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace stamp
