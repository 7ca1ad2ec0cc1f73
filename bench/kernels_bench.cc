// Micro benchmarks of the kernels, every instruction set of this processor side by side.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "stamp/core/cpu_features.h"
#include "stamp/core/rng.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

std::vector<float> random_floats(int64_t count) {
  Rng rng(1);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

// An attention tile: 256 stacked query rows against 64 keys of 64 features.
void gemm_tile(benchmark::State& state, Isa isa) {
  constexpr int64_t kM = 256, kN = 64, kK = 64;
  const auto a = random_floats(kM * kK), b = random_floats(kK * kN);
  std::vector<float> c(kM * kN);
  for (auto _ : state) {
    kernels_of(isa).gemm_f32(a.data(), kK, b.data(), kN, c.data(), kN, kM, kN, kK, 0);
    benchmark::DoNotOptimize(c.data());
  }
  state.counters["FLOPS"] =
      benchmark::Counter(2.0 * kM * kN * kK, benchmark::Counter::kIsIterationInvariantRate);
}

void gemv_bf16(benchmark::State& state, Isa isa) {
  constexpr int64_t kRows = 2048, kCols = 2048;
  const auto x = random_floats(kCols);
  const std::vector<bf16> w(kRows * kCols, 0x3f80);
  std::vector<float> y(kRows);
  for (auto _ : state) {
    kernels_of(isa).gemv_bf16(x.data(), w.data(), kCols, y.data(), kRows, kCols);
    benchmark::DoNotOptimize(y.data());
  }
  state.SetBytesProcessed(state.iterations() * kRows * kCols * 2);
}

void exp_scaled(benchmark::State& state, Isa isa) {
  const auto source = random_floats(4096);
  auto x = source;
  for (auto _ : state) {
    x = source;
    benchmark::DoNotOptimize(kernels_of(isa).exp_scaled(x.data(), 4096, 1.0f, 3.0f));
  }
  state.SetItemsProcessed(state.iterations() * 4096);
}

void add_all() {
  for (const Isa isa : kAllIsas) {
    if (!has_isa(isa)) continue;
    const std::string suffix = "/" + std::string(isa_name(isa));
    benchmark::RegisterBenchmark(("gemm_f32" + suffix).c_str(), gemm_tile, isa);
    benchmark::RegisterBenchmark(("gemv_bf16" + suffix).c_str(), gemv_bf16, isa);
    benchmark::RegisterBenchmark(("exp_scaled" + suffix).c_str(), exp_scaled, isa);
  }
}

}  // namespace
}  // namespace stamp

int main(int argc, char** argv) {
  stamp::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
