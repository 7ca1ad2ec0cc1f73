// Micro benchmarks of sequence transforms, Hadamard and the simulated token quantizer, beside a
// matrix product.
#include <benchmark/benchmark.h>

#include <string>

#include "stamp/core/rng.h"
#include "stamp/nn/matmul.h"
#include "stamp/quant/feature_transform.h"
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

void sequence_forward(benchmark::State& state, const SequenceTransform* transform) {
  Matrix x = random_matrix(kTokens, kFeatures);
  for (auto _ : state) transform->forward(x.view(), auto_levels(kTokens, 64));
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
  add("linear_2048x2048_8192", linear_2048_8192);
}

}  // namespace
}  // namespace stamp

int main(int argc, char** argv) {
  stamp::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
