#include "stamp/models/component.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "stamp/core/parallel.h"
#include "stamp/models/checked_tensor.h"

namespace stamp {
namespace {

bool is_present(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

/// STEM, or STEM.fp16 / STEM.bf16 where only such a variant is there.
std::string existing_stem(const std::filesystem::path& directory, const std::string& stem) {
  for (const char* variant : {"", ".bf16", ".fp16"}) {
    const std::string name = stem + variant;
    if (is_present(directory / (name + ".safetensors")) ||
        is_present(directory / (name + ".safetensors.index.json")))
      return name;
  }
  return stem;
}

bool is_finite(const TensorView& tensor) {
  constexpr int64_t kPiece = 1 << 16;
  const int64_t size = tensor.size();
  std::atomic<bool> finite = true;
  parallel_for((size + kPiece - 1) / kPiece, [&](int64_t i) {
    std::vector<float> values(static_cast<size_t>(std::min(kPiece, size - i * kPiece)));
    to_f32(tensor, i * kPiece, values);
    for (const float value : values)
      if (!std::isfinite(value)) finite = false;
  });
  return finite;
}

}  // namespace

std::shared_ptr<const Component> Component::open(const std::filesystem::path& directory,
                                                 const std::string& stem) {
  if (!std::filesystem::is_directory(directory))
    throw_runtime("{}: there is no such folder", directory.string());
  auto component = std::make_shared<Component>();
  component->directory_ = directory;
  component->config_ = read_json(directory / "config.json");
  component->weights_ = Safetensors::open_model(directory, existing_stem(directory, stem));
  return component;
}

const TensorView& Component::tensor(const std::string& name, const Shape& shape) const {
  return checked_tensor(weights_, directory_, name, shape);
}

std::vector<float> Component::vector(const std::string& name, int64_t size) const {
  return checked_vector(weights_, directory_, name, size);
}

ChannelAffine Component::affine(const std::string& name, int64_t size) const {
  return {vector(name + ".weight", size), vector(name + ".bias", size)};
}

LinearWeight Component::linear(const std::string& name, int64_t out_dim, int64_t in_dim) const {
  const std::string file_name = name + ".weight";
  const bool kernel = has(file_name) && weights_.at(file_name).shape.size() == 4;
  LinearWeight weight{.name = name};
  weight.weight = tensor(file_name, kernel ? Shape{out_dim, in_dim, 1, 1} : Shape{out_dim, in_dim});
  weight.weight.shape = {out_dim, in_dim};
  if (has(name + ".bias")) weight.bias = tensor(name + ".bias", {out_dim});
  return weight;
}

Convolution Component::convolution(const std::string& name, const Kernel& kernel,
                                   const ConvolutionOptions& options) const {
  std::optional<TensorView> bias;
  if (kernel.bias) bias = tensor(name + ".bias", {kernel.out});
  return Convolution(
      name,
      tensor(name + ".weight", {kernel.out, kernel.in / options.groups, kernel.size, kernel.size}),
      bias, options);
}

Linear plain_linear(const Component& component, const std::string& name, int64_t out_dim,
                    int64_t in_dim) {
  return Linear(name, {component.linear(name, out_dim, in_dim)}, Recipe{}, nullptr);
}

Matrix apply(const Linear& linear, ConstFloatView x, ForwardContext& context) {
  Matrix y;
  Matrix* const outputs[] = {&y};
  linear.forward(x, 0, outputs, context);
  return y;
}

void check_finite_weights(const Component& component) {
  for (const auto& [name, tensor] : component.weights().tensors()) {
    const bool real =
        tensor.dtype == DType::kF32 || tensor.dtype == DType::kF16 || tensor.dtype == DType::kBF16;
    if (real && !is_finite(tensor))
      throw_runtime("{}: tensor {} holds values that are not finite",
                    component.directory().string(), name);
  }
}

}  // namespace stamp
