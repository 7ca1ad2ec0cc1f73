#include <algorithm>
#include <chrono>

#include "stamp/core/error.h"
#include "stamp/core/rng.h"
#include "stamp/nn/integer_matmul.h"
#include "stamp/pipelines/bench.h"
#include "stamp/pipelines/machine_limits.h"
#include "stamp/quant/stored_weight.h"

namespace stamp {
namespace {

constexpr int64_t kTokens = 2048;
constexpr double kPeakSeconds = 0.02;

PackedWeight random_weight(const Recipe& recipe, int64_t out_dim, int64_t in_dim) {
  StoredWeight stored = stored_layout({.bits = 4, .group = recipe.weights.group}, out_dim, in_dim);
  const AlignedBuffer codes(stored.packed.bytes()), scales(stored.scale.bytes());
  Rng rng(1);
  auto* words = static_cast<uint64_t*>(codes.data());
  std::generate_n(words, stored.packed.bytes() / 8, [&] { return rng.next(); });
  std::fill_n(static_cast<f16*>(scales.data()), out_dim * stored.groups(), f32_to_f16(0.01f));
  stored.packed.data = codes.data();
  stored.scale.data = scales.data();
  PackedWeight packed(stored, recipe.activations.quantizer.block);
  packed.fill(0, stored);
  return packed;
}

ActivationCodes random_codes(const Recipe& recipe, int64_t in_dim) {
  Matrix x(kTokens, in_dim);
  Rng rng(2);
  std::generate_n(x.data(), x.size(), [&] { return static_cast<float>(rng.uniform() - 0.5); });
  const TokenQuantizer quantizer(recipe.activations);
  if (!quantizer.can_encode())
    throw_argument("recipe '{}': the inputs of linears have no integer codes", recipe.name);
  ActivationCodes codes;
  quantizer.encode(x.view(), 0, {}, codes);
  return codes;
}

LinearTimes time_linear(const Recipe& recipe, int64_t in_dim, int64_t out_dim, int runs) {
  const PackedWeight weight = random_weight(recipe, out_dim, in_dim);
  const ActivationCodes codes = random_codes(recipe, in_dim);
  Matrix out(kTokens, out_dim);
  const IntegerProduct product{&weight, {}, out.view()};
  LinearTimes times{recipe.name, kTokens, in_dim, out_dim, {}, {}};
  for (int run = 0; run <= runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    integer_matmul(codes, {&product, 1}, false);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (run == 0) continue;
    times.seconds.push_back(seconds.count());
    times.peak_gops.push_back(measure_dot_peak(kPeakSeconds).gops);
  }
  return times;
}

}  // namespace

std::vector<LinearTimes> bench_linears(const Recipe& recipe, int runs) {
  return {time_linear(recipe, 2048, 8192, runs), time_linear(recipe, 8192, 2048, runs)};
}

}  // namespace stamp
