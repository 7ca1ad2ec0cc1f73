// Integer kernels against what the same process measures as the limit: products against loops that
// touch only registers, streams against a loop that only reads. One core; every instruction set of
// this processor.
#include <benchmark/benchmark.h>

#include <cstring>
#include <string>

#include "stamp/core/cpu_features.h"
#include "stamp/core/tensor.h"
#include "stamp/kernels/kernels.h"
#include "stamp/kernels/peak.h"

namespace stamp {
namespace {

constexpr int64_t kPanel = 64;

AlignedBuffer filled(int64_t bytes, int value) {
  AlignedBuffer buffer(bytes);
  std::memset(buffer.data(), value, static_cast<size_t>(bytes));
  return buffer;
}

template <class T>
T* as(const AlignedBuffer& buffer) {
  return static_cast<T*>(buffer.data());
}

struct Shape {
  Isa isa;
  int64_t m, k;
  int a_limit;
};

/// One panel of weights of `u_limit` 15 for m rows, as a linear's prefill and attention call it.
void gemm_s8u8(benchmark::State& state, Shape shape) {
  const int64_t lda = shape.k + 64;
  const auto a = filled(shape.m * lda, 7), panel = filled(shape.k * kPanel, 15);
  const auto c = filled(shape.m * kPanel * 4, 0), limits = filled(shape.m, shape.a_limit);
  const Peak peak = measure_dot_peak(shape.isa);
  const KernelTable& kernel = kernels_of(shape.isa);  // asks the processor: 18 us in a virtual one
  for (auto _ : state)
    kernel.gemm_s8u8(as<int8_t>(a), lda, as<uint8_t>(panel), as<int32_t>(c), kPanel, shape.m,
                     shape.k, as<uint8_t>(limits), 15, 0);
  const double operations = 2.0 * static_cast<double>(shape.m * shape.k * kPanel);
  using benchmark::Counter;
  state.counters["OPS"] = Counter(operations, Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] =
      Counter(operations / peak.giga_ops * 1e-9, Counter::kIsIterationInvariantRate);
}

constexpr int64_t kStream = int64_t{512} << 20;

/// Nibble weights from memory, panel by panel, for m rows: what decoding does.
void gemm_s8u4(benchmark::State& state, Shape shape) {
  const auto weights = filled(kStream, 0x5a), a = filled(shape.m * shape.k, 3);
  const auto c = filled(shape.m * kPanel * 4, 0);
  const int64_t panel = shape.k * kPanel / 2;
  const KernelTable& kernel = kernels_of(shape.isa);
  for (auto _ : state)
    for (int64_t at = 0; at < kStream; at += panel)
      kernel.gemm_s8u4(as<int8_t>(a), shape.k, as<uint8_t>(weights) + at, as<int32_t>(c), kPanel,
                       shape.m, shape.k, nullptr);
  state.SetBytesProcessed(state.iterations() * kStream);
}

/// The limit of the above: every line is fetched once, as far ahead, and nothing is computed.
void read_only(benchmark::State& state) {
  const auto memory = filled(kStream, 0x5a);
  const auto* words = as<uint64_t>(memory);
  for (auto _ : state) {
    uint64_t sum = 0;
    for (int64_t i = 0; i < kStream / 8; i += 8) {
      __builtin_prefetch(words + i + 512);
      sum += words[i];
    }
    benchmark::DoNotOptimize(sum);
  }
  state.SetBytesProcessed(state.iterations() * kStream);
}

void peak(benchmark::State& state, Peak (*measure)(Isa, double), Isa isa) {
  Peak result;
  for (auto _ : state) result = measure(isa, 0.2);
  state.counters["OPS"] = result.giga_ops * 1e9;
  state.counters["GHz"] = result.ghz;
  state.counters["per_cycle"] = result.ops_per_cycle;
  state.counters["expected"] = result.expected;
}

template <class... Args>
void add(const std::string& name, Args... args) {
  benchmark::RegisterBenchmark(name.c_str(), args...);
}

void add_all() {
  add("read_only", read_only);
  for (const Isa isa : kAllIsas) {
    if (!has_isa(isa)) continue;
    const std::string suffix = "/" + std::string(isa_name(isa));
    add("peak_dot" + suffix, peak, measure_dot_peak, isa);
    add("peak_fma" + suffix, peak, measure_fma_peak, isa);
    if (isa == Isa::kScalar) continue;  // the specification: minutes
    for (const int limit : {8, 128}) {
      const std::string rows = limit == 8 ? "/4-bit rows" : "/8-bit rows";
      add("gemm_s8u8/2048x2048" + rows + suffix, gemm_s8u8, Shape{isa, 2048, 2048, limit});
    }
    add("gemm_s8u8/attention 4x64" + suffix, gemm_s8u8, Shape{isa, 4, 64, 128});
    add("gemm_s8u8/attention 512x64" + suffix, gemm_s8u8, Shape{isa, 512, 64, 128});
    for (const int64_t m : {1, 4, 8})
      add("gemm_s8u4/" + std::to_string(m) + "x2048" + suffix, gemm_s8u4, Shape{isa, m, 2048, 128});
  }
}

}  // namespace
}  // namespace stamp

int main(int argc, char** argv) {
  stamp::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
