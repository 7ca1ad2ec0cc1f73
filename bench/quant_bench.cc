// Micro benchmarks of sequence transforms, Hadamard, the simulated token quantizer and the integer
// path around a product, beside a matrix product.
#include <benchmark/benchmark.h>

#include <cmath>
#include <string>

#include "stamp/core/rng.h"
#include "stamp/nn/matmul.h"
#include "stamp/quant/activation_codes.h"
#include "stamp/quant/feature_transform.h"
#include "stamp/quant/klt.h"
#include "stamp/quant/sequence_transform.h"
#include "stamp/quant/token_quantizer.h"

namespace stamp {
namespace {

constexpr int64_t kTokens = 2048, kFeatures = 2048;

Matrix random_matrix(int64_t rows, int64_t cols) {
  Rng rng(1);
  Matrix result(rows, cols);
  for (int64_t i = 0; i < result.size(); ++i) result.data()[i] = static_cast<float>(rng.normal());
  return result;
}

/// 0.9^|i - j|.
std::vector<float> first_order_covariance(int tokens) {
  std::vector<float> covariance;
  for (int i = 0; i < tokens; ++i)
    for (int j = 0; j < tokens; ++j) covariance.push_back(std::pow(0.9f, std::abs(i - j)));
  return covariance;
}

void sequence_forward(benchmark::State& state, const SequenceTransform* transform) {
  Matrix x = random_matrix(kTokens, kFeatures);
  TransformParams params(auto_levels(*transform, kTokens, 64));
  params.basis = std::make_shared<const KltBasis>(first_order_covariance(64));
  for (auto _ : state) transform->forward(x.view(), params);
  state.SetBytesProcessed(state.iterations() * x.size() * 4);
}

void hadamard(benchmark::State& state) {
  Matrix x = random_matrix(kTokens, kFeatures);
  const HadamardPlan plan = plan_hadamard(kFeatures);
  for (auto _ : state) apply_hadamard(x.view(), plan);
  state.SetBytesProcessed(state.iterations() * x.size() * 4);
}

void token_quantizer(benchmark::State& state, const std::string& transform) {
  TokenSpec spec{.bits = 4};
  spec.sequence = {.transform = transform, .skip_tokens = 1};
  spec.plan = {.kind = "two_level"};
  const TokenQuantizer quantizer(spec);
  const Matrix x = random_matrix(kTokens, kFeatures);
  Matrix copy = x;
  for (auto _ : state) {
    copy = x;
    quantizer.apply(copy.view());
  }
  state.SetBytesProcessed(state.iterations() * x.size() * 4);
}

TokenQuantizer haar_quantizer(int levels) {
  TokenSpec spec{.bits = 4};
  spec.sequence = {.transform = levels == 0 ? "identity" : "haar", .levels = levels};
  spec.plan = {.kind = "fraction"};
  return TokenQuantizer(spec);
}

/// Input to codes on all threads.
void encode(benchmark::State& state, int64_t tokens, int64_t cols, int levels, bool rotate) {
  const TokenQuantizer quantizer = haar_quantizer(levels);
  const Matrix x = random_matrix(tokens, cols);
  FeatureMap map;
  if (rotate) map.hadamard = plan_hadamard(cols);
  ActivationCodes codes;
  for (auto _ : state) quantizer.encode(x.view(), 0, map, codes);
  state.SetBytesProcessed(state.iterations() * x.size() * 4);
}

/// One panel of sums to 64 columns of a [tokens, 8192] output on one thread.
void decode(benchmark::State& state, int levels, bool add, bool stream) {
  const TokenQuantizer quantizer = haar_quantizer(levels);
  ActivationCodes codes;
  quantizer.encode(random_matrix(kTokens, 64).view(), 0, {}, codes);
  const std::vector<int32_t> acc(static_cast<size_t>(kTokens * kPanelColumns), 12345), sums(64, 77);
  const std::vector<float> scale(64, 0.01f);
  const PanelConstants panel{8, scale.data(), sums.data()};
  Matrix y = random_matrix(kTokens, 8192);
  int64_t column = 0;
  for (auto _ : state) {
    decode_panel(codes, codes.runs[0], acc.data(), panel, y.view().cols_from(column, kPanelColumns),
                 add, stream);
    column = (column + kPanelColumns) % y.cols();
  }
  state.SetBytesProcessed(state.iterations() * kTokens * kPanelColumns * 4);
}

// For scale: the product that such an input goes into.
void linear_2048_8192(benchmark::State& state) {
  const Matrix x = random_matrix(kTokens, kFeatures), w = random_matrix(8192, kFeatures);
  Matrix out(kTokens, 8192);
  const TensorView weight{DType::kF32, {8192, kFeatures}, w.data()};
  for (auto _ : state) matmul_transposed(x.view(), weight, {}, out.view(), false);
  state.counters["FLOPS"] = benchmark::Counter(2.0 * kTokens * kFeatures * 8192,
                                               benchmark::Counter::kIsIterationInvariantRate);
}

void add_all() {
  const auto add = [](const std::string& name, auto&&... rest) {
    benchmark::RegisterBenchmark(name.c_str(), rest...)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  for (const SequenceTransform& transform : sequence_transforms())
    add("forward/" + std::string(transform.name), sequence_forward, &transform);
  add("hadamard", hadamard);
  for (const char* transform : {"identity", "haar", "dct"})
    add(std::string("quantize/") + transform, token_quantizer, std::string(transform));
  for (const int64_t cols : {2048, 8192})
    for (const int levels : {0, 1, 3, 5, 9})
      for (const bool rotate : {false, true})
        add("encode/2048x" + std::to_string(cols) + "/haar" + std::to_string(levels) +
                (rotate ? "/rotated" : ""),
            encode, kTokens, cols, levels, rotate);
  for (const bool rotate : {false, true})
    add(std::string("encode/1x2048") + (rotate ? "/rotated" : ""), encode, int64_t{1}, kFeatures, 5,
        rotate);
  for (const int levels : {0, 1, 2, 3, 5, 9}) {
    add("decode/haar" + std::to_string(levels), decode, levels, false, false);
    add("decode/haar" + std::to_string(levels) + "/stream", decode, levels, false, true);
    add("decode/haar" + std::to_string(levels) + "/add", decode, levels, true, false);
  }
  add("linear_2048x2048_8192", linear_2048_8192);
}

}  // namespace
}  // namespace stamp

int main(int argc, char** argv) {
  stamp::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
