#include "stamp/diffusion/torch_noise.h"

#include <cmath>
#include <numbers>

namespace stamp {
namespace {

constexpr size_t kGroup = 16;
constexpr double kTwoPi = 2.0 * std::numbers::pi;

}  // namespace

float TorchNoise::uniform() { return static_cast<float>(engine_() & 0xffffffu) * 0x1p-24f; }

double TorchNoise::wide_uniform() {
  const uint64_t high = engine_(), low = engine_();
  return static_cast<double>((high << 32 | low) & ((uint64_t{1} << 53) - 1)) * 0x1p-53;
}

double TorchNoise::wide_normal() {
  if (spare_) {
    const double value = *spare_;
    spare_.reset();
    return value;
  }
  const double u1 = wide_uniform(), u2 = wide_uniform();
  const double radius = std::sqrt(-2.0 * std::log1p(-u2));
  spare_ = radius * std::sin(kTwoPi * u1);
  return radius * std::cos(kTwoPi * u1);
}

/// Turns 16 uniform values into normal ones: pairs are 8 apart.
void TorchNoise::fill_group(float* out) {
  for (size_t i = 0; i < kGroup / 2; ++i) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - static_cast<double>(out[i])));
    const double angle = kTwoPi * static_cast<double>(out[i + kGroup / 2]);
    out[i] = static_cast<float>(radius * std::cos(angle));
    out[i + kGroup / 2] = static_cast<float>(radius * std::sin(angle));
  }
}

void TorchNoise::fill(std::span<float> out) {
  if (out.size() < kGroup) {
    for (float& value : out) value = static_cast<float>(wide_normal());
    return;
  }
  for (float& value : out) value = uniform();
  for (size_t i = 0; i + kGroup <= out.size(); i += kGroup) fill_group(&out[i]);
  if (out.size() % kGroup == 0) return;
  // The last 16 values are drawn once more, over some that were finished.
  float* last = out.data() + out.size() - kGroup;
  for (size_t i = 0; i < kGroup; ++i) last[i] = uniform();
  fill_group(last);
}

}  // namespace stamp
