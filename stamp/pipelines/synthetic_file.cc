#include "stamp/pipelines/synthetic_file.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/core/rng.h"
#include "stamp/io/safetensors_writer.h"
#include "stamp/quant/stored_weight.h"

namespace stamp {
namespace {

constexpr int64_t kPiece = int64_t{1} << 22;
constexpr uint64_t kLanes = 0x0001000100010001;  // a 1 in each of four 16-bit fields

}  // namespace

void SyntheticFile::add(const std::string& name, const TensorView& tensor, const Fill& fill) {
  tensors_[name] = tensor;
  fills_[name] = fill;
}

void SyntheticFile::add_tensor(const std::string& name, const Shape& shape) {
  const double inputs = static_cast<double>(element_count(shape) / std::max<int64_t>(1, shape[0]));
  // +-[1, 2) 2^e: random signs and mantissas below the exponent of the wanted deviation.
  const bf16 size = f32_to_bf16(static_cast<float>(1 / (1.53 * std::sqrt(inputs))));
  add(name, {DType::kBF16, shape}, {0x807f * kLanes, (size & 0x7f80) * kLanes});
}

void SyntheticFile::add_vector(const std::string& name, int64_t size, float value) {
  add(name, {DType::kBF16, {size}}, {0, f32_to_bf16(value) * kLanes});
}

void SyntheticFile::add_stored(const std::string& name, const WeightSpec& spec, int64_t out_dim,
                               int64_t in_dim) {
  const StoredWeight layout = stored_layout(spec, out_dim, in_dim);
  if (in_dim % (32 / layout.bits) != 0)
    throw_argument("{}: random codes fill whole words of {} bits only, got {} inputs", name,
                   layout.bits, in_dim);
  const double deviation = layout.bits == 4 ? 4.61 : 73.9;  // of uniform codes
  const f16 scale = f32_to_f16(static_cast<float>(1 / (deviation * std::sqrt(in_dim))));
  add(name + ".weight_packed", layout.packed, {~uint64_t{0}, 0});
  add(name + ".weight_scale", layout.scale, {0, scale * kLanes});
  shapes_[name + ".weight_shape"] = {out_dim, in_dim};
  tensors_[name + ".weight_shape"] = {DType::kI64, {2}};
}

void SyntheticFile::add_weight(const std::string& name, const WeightSpec& spec, int64_t out_dim,
                               int64_t in_dim) {
  if (spec.bits < 16) return add_stored(name, spec, out_dim, in_dim);
  add_plain(name + ".weight", out_dim, in_dim);
}

void SyntheticFile::write(const std::filesystem::path& file) const {
  SafetensorsWriter writer(file, tensors_);
  for (const auto& [name, shape] : shapes_)
    writer.write(name, 0, {reinterpret_cast<const char*>(shape.data()), 16});
  Rng rng(0);
  std::vector<uint64_t> words(kPiece / 8);
  for (const auto& [name, fill] : fills_) {
    const int64_t bytes = tensors_.at(name).bytes();
    for (int64_t offset = 0; offset < bytes; offset += kPiece) {
      for (uint64_t& word : words) word = fill.fixed | (fill.mask ? rng.next() & fill.mask : 0);
      const auto size = static_cast<size_t>(std::min(kPiece, bytes - offset));
      writer.write(name, offset, {reinterpret_cast<const char*>(words.data()), size});
    }
  }
  writer.commit();
}

}  // namespace stamp
