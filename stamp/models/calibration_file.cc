#include "stamp/models/calibration_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "stamp/core/error.h"
#include "stamp/io/safetensors.h"

namespace stamp {
namespace {

/// A kind of vector and what its numbers may be.
struct VectorField {
  std::string_view suffix;
  std::vector<float> SiteStatistics::*values;
  bool (*is_valid)(float);
  const char* wrong;  // what else they must not be
};
constexpr std::array kVectors = {
    VectorField{".range2", &SiteStatistics::range2, [](float x) { return x >= 0; }, " or below 0"},
    VectorField{".covariance", &SiteStatistics::covariance, [](float) { return true; }, ""},
    VectorField{".mean", &SiteStatistics::mean, [](float) { return true; }, ""},
    VectorField{".scale", &SiteStatistics::scale, [](float x) { return x != 0; }, " or 0"},
    VectorField{".clip", &SiteStatistics::clip, [](float x) { return x > 0 && x <= 1; },
                " or not above 0 and up to 1"},
    VectorField{".weight_clip", &SiteStatistics::weight_clip,
                [](float x) { return x > 0 && x <= 1; }, " or not above 0 and up to 1"}};
constexpr std::string_view kSkip = ".skip_tokens";

struct MatrixField {
  std::string_view suffix;
  Matrix SiteStatistics::*values;
};
constexpr std::array kMatrices = {MatrixField{".left", &SiteStatistics::left},
                                  MatrixField{".right", &SiteStatistics::right}};

/// The site of a tensor NAME = SITE + suffix; empty: another kind of tensor.
std::string site_of(const std::string& name, std::string_view suffix) {
  return name.ends_with(suffix) ? name.substr(0, name.size() - suffix.size()) : "";
}

void read_vector(const std::filesystem::path& file, const std::string& name,
                 const TensorView& tensor, const VectorField& field, SiteStatistics& site) {
  if (tensor.dtype != DType::kF32 || tensor.shape.size() != 1)
    throw_runtime("{}: tensor '{}': expected an F32 vector, got {} {}", file.string(), name,
                  dtype_name(tensor.dtype), to_string(tensor.shape));
  std::vector<float>& values = site.*field.values;
  values.resize(static_cast<size_t>(tensor.size()));
  to_f32(tensor, 0, values);
  if (!std::all_of(values.begin(), values.end(),
                   [&](float value) { return std::isfinite(value) && field.is_valid(value); }))
    throw_runtime("{}: tensor '{}' holds numbers that are not finite{}", file.string(), name,
                  field.wrong);
}

void read_square(const std::filesystem::path& file, const std::string& name,
                 const TensorView& tensor, Matrix& matrix) {
  if (tensor.dtype != DType::kF32 || tensor.shape.size() != 2 || tensor.shape[0] != tensor.shape[1])
    throw_runtime("{}: tensor '{}': expected a square F32 matrix, got {} {}", file.string(), name,
                  dtype_name(tensor.dtype), to_string(tensor.shape));
  matrix = to_matrix(tensor);
  if (!std::all_of(matrix.data(), matrix.data() + matrix.size(),
                   [](float value) { return std::isfinite(value); }))
    throw_runtime("{}: tensor '{}' holds numbers that are not finite", file.string(), name);
}

int read_count(const std::filesystem::path& file, const std::string& name,
               const TensorView& tensor) {
  int32_t count = 0;
  if (tensor.dtype == DType::kI32 && tensor.shape == Shape{1})
    std::memcpy(&count, tensor.data, sizeof count);
  if (count < 1 || count > kMostSinks)
    throw_runtime("{}: tensor '{}': expected an I32 from 1 to {}, got {} {}", file.string(), name,
                  kMostSinks, dtype_name(tensor.dtype), to_string(tensor.shape));
  return count;
}

void read_tensor(const std::filesystem::path& file, const std::string& name,
                 const TensorView& tensor, Calibration& calibration) {
  for (const VectorField& field : kVectors)
    if (const std::string site = site_of(name, field.suffix); !site.empty())
      return read_vector(file, name, tensor, field, calibration[site]);
  for (const MatrixField& field : kMatrices)
    if (const std::string site = site_of(name, field.suffix); !site.empty())
      return read_square(file, name, tensor, calibration[site].*field.values);
  if (const std::string site = site_of(name, kSkip); !site.empty()) {
    calibration[site].skip_tokens = read_count(file, name, tensor);
    return;
  }
  throw_runtime("{}: tensor '{}': its name ends in no kind of statistics", file.string(), name);
}

}  // namespace

std::map<std::string, TensorView> calibration_tensors(const Calibration& calibration) {
  std::map<std::string, TensorView> tensors;
  for (const auto& [site, statistics] : calibration) {
    for (const VectorField& field : kVectors) {
      const std::vector<float>& values = statistics.*field.values;
      if (values.empty() || (field.values == &SiteStatistics::mean && !statistics.center)) continue;
      tensors[site + std::string(field.suffix)] = {
          DType::kF32, {static_cast<int64_t>(values.size())}, values.data()};
    }
    for (const MatrixField& field : kMatrices)
      if (const Matrix& values = statistics.*field.values; values.size() > 0)
        tensors[site + std::string(field.suffix)] = {
            DType::kF32, {values.rows(), values.cols()}, values.data()};
    if (statistics.skip_tokens > 0)
      tensors[site + std::string(kSkip)] = {DType::kI32, {1}, &statistics.skip_tokens};
  }
  return tensors;
}

void write_calibration(const std::filesystem::path& file, const Calibration& calibration) {
  write_safetensors(file, calibration_tensors(calibration));
}

Calibration read_calibration(const std::filesystem::path& file) {
  Calibration calibration;
  const Safetensors tensors = Safetensors::open(file);
  for (const auto& [name, tensor] : tensors.tensors()) read_tensor(file, name, tensor, calibration);
  for (auto& [site, statistics] : calibration) statistics.center = !statistics.mean.empty();
  return calibration;
}

}  // namespace stamp
