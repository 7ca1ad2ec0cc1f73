#include "stamp/models/calibration_file.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/io/safetensors.h"

namespace stamp {
namespace {

constexpr std::string_view kMean = ".mean", kRange2 = ".range2";

TensorView vector_view(const std::vector<float>& values) {
  return {DType::kF32, {static_cast<int64_t>(values.size())}, values.data()};
}

std::vector<float> read_vector(const std::filesystem::path& file, const std::string& name,
                               const TensorView& tensor, float lowest) {
  if (tensor.dtype != DType::kF32 || tensor.shape.size() != 1)
    throw_runtime("{}: tensor '{}': expected an F32 vector, got {} {}", file.string(), name,
                  dtype_name(tensor.dtype), to_string(tensor.shape));
  std::vector<float> values(static_cast<size_t>(tensor.size()));
  to_f32(tensor, 0, values);
  if (!std::all_of(values.begin(), values.end(),
                   [&](float value) { return std::isfinite(value) && value >= lowest; }))
    throw_runtime("{}: tensor '{}' holds numbers that are not finite or below {}", file.string(),
                  name, lowest);
  return values;
}

}  // namespace

void write_calibration(const std::filesystem::path& file, const Calibration& calibration) {
  std::map<std::string, TensorView> tensors;
  for (const auto& [site, statistics] : calibration) {
    tensors[site + std::string(kRange2)] = vector_view(statistics.range2);
    if (statistics.center) tensors[site + std::string(kMean)] = vector_view(statistics.mean);
  }
  write_safetensors(file, tensors);
}

Calibration read_calibration(const std::filesystem::path& file) {
  constexpr float kLowest = std::numeric_limits<float>::lowest();
  Calibration calibration;
  const Safetensors tensors = Safetensors::open(file);
  for (const auto& [name, tensor] : tensors.tensors()) {
    if (name.ends_with(kRange2)) {
      calibration[name.substr(0, name.size() - kRange2.size())].range2 =
          read_vector(file, name, tensor, 0.0f);
    } else if (name.ends_with(kMean)) {
      SiteStatistics& statistics = calibration[name.substr(0, name.size() - kMean.size())];
      statistics.mean = read_vector(file, name, tensor, kLowest);
      statistics.center = true;
    } else {
      throw_runtime("{}: tensor '{}': expected names ending in {} or {}", file.string(), name,
                    kRange2, kMean);
    }
  }
  return calibration;
}

}  // namespace stamp
