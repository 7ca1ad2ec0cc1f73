#include "stamp/kernels/peak.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <iterator>

#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

struct Rates {
  std::array<double, 2> dot, fma;
};

// In the order of Isa; docs/kernels.md says where they come from.
constexpr std::array<Rates, std::size(kAllIsas)> kRates = {{
    {{0, 0}, {0, 0}},
    {{96, 128}, {16, 32}},     // avx2: maddubs and paddw share three ports, or have four
    {{64, 128}, {16, 32}},     // avxvnni
    {{64, 128}, {32, 64}},     // avx512: maddubs and paddw share one port or two
    {{128, 256}, {32, 64}},    // avx512vnni
    {{2048, 2048}, {32, 64}},  // amx: a tile product takes 16 cycles
    {{0, 0}, {0, 0}},          // neon: processors differ widely
    {{0, 0}, {0, 0}},
    {{0, 0}, {0, 0}},
}};

std::span<const double> known(const std::array<double, 2>& rates) {
  return rates[0] > 0 ? std::span<const double>(rates) : std::span<const double>();
}

double seconds_now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

/// Giga-units per second of one call.
double rate_of(const std::function<int64_t()>& run) {
  const double start = seconds_now();
  const auto units = static_cast<double>(run());
  return units / (seconds_now() - start) * 1e-9;
}

Peak measure(Isa isa, int64_t (*KernelTable::*loop)(int64_t, int) noexcept,
             std::span<const double> rates, double seconds) {
  // Long enough for the processor to leave its slower start behind, below the scheduler's time
  // slice.
  constexpr int64_t kIterations = 20000;
  const KernelTable& table = kernels_of(isa);
  Peak peak;
  const double end = seconds_now() + seconds;
  do {
    for (const int variant : {0, 1, 0, 1})
      peak.giga_ops =
          std::max(peak.giga_ops, rate_of([&] { return (table.*loop)(kIterations, variant); }));
    peak.ghz = std::max(peak.ghz, rate_of([&] { return table.dependent_adds(kIterations); }));
  } while (seconds_now() < end);
  peak.ops_per_cycle = peak.giga_ops / peak.ghz;
  peak.expected = expected_rate(rates, peak.ops_per_cycle);
  return peak;
}

}  // namespace

Peak measure_dot_peak(Isa isa, double seconds) {
  return measure(isa, &KernelTable::peak_dot_s8u8, known_dot_rates(isa), seconds);
}
Peak measure_fma_peak(Isa isa, double seconds) {
  return measure(isa, &KernelTable::peak_fma_f32, known_fma_rates(isa), seconds);
}

std::span<const double> known_dot_rates(Isa isa) {
  return known(kRates[static_cast<size_t>(isa)].dot);
}
std::span<const double> known_fma_rates(Isa isa) {
  return known(kRates[static_cast<size_t>(isa)].fma);
}

double expected_rate(std::span<const double> rates, double ops_per_cycle) {
  for (const double rate : rates)
    if (ops_per_cycle <= 1.02 * rate) return rate;
  return rates.empty() ? 0.0 : rates.back();
}

}  // namespace stamp
