#include "stamp/pipelines/quantize_shard.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/io/mmap.h"
#include "stamp/io/safetensors.h"
#include "stamp/io/safetensors_writer.h"
#include "stamp/nn/site_map.h"
#include "stamp/quant/stored_weight.h"

namespace stamp {
namespace {

constexpr int64_t kCopyBytes = int64_t{16} << 20;
constexpr int64_t kCopyElements = int64_t{1} << 20;  // decoded at a time
constexpr int64_t kRowStep = 64;  // blocks are whole multiples of what product kernels work on

std::string_view bytes_of(const void* data, int64_t bytes) {
  return {static_cast<const char*>(data), static_cast<size_t>(bytes)};
}

const std::byte* address(const TensorView& tensor, int64_t offset) {
  return static_cast<const std::byte*>(tensor.data) + offset;
}

/// The values of a tensor in blocks, rounded to fp16.
void copy_decoded(const OutputTensor& tensor, SafetensorsWriter& writer, ByteProgress& progress) {
  const int64_t total = tensor.source.size();
  std::vector<float> values;
  std::vector<f16> rounded;
  for (int64_t first = 0; first < total; first += kCopyElements) {
    const int64_t count = std::min(kCopyElements, total - first);
    values.resize(static_cast<size_t>(count));
    to_f32(tensor.source, first, values);
    rounded.clear();
    for (const float value : values) {
      rounded.push_back(f32_to_f16(value));
      if (!std::isfinite(f16_to_f32(rounded.back())))
        throw_runtime("{}: {} does not fit into fp16", tensor.name, value);
    }
    writer.write(tensor.name, first * int64_t{sizeof(f16)},
                 bytes_of(rounded.data(), count * int64_t{sizeof(f16)}));
    const int64_t bytes = dtype_bytes(tensor.source.dtype, count);
    drop_mapped_pages(address(tensor.source, dtype_bytes(tensor.source.dtype, first)), bytes);
    progress.advance(bytes);
  }
}

void copy_tensor(const OutputTensor& tensor, SafetensorsWriter& writer, ByteProgress& progress) {
  if (tensor.copied_type() != tensor.source.dtype) return copy_decoded(tensor, writer, progress);
  const int64_t total = tensor.source.bytes();
  for (int64_t offset = 0; offset < total; offset += kCopyBytes) {
    const int64_t count = std::min(kCopyBytes, total - offset);
    writer.write(tensor.name, offset, bytes_of(address(tensor.source, offset), count));
    drop_mapped_pages(address(tensor.source, offset), count);
    progress.advance(count);
  }
}

/// b + m W^T for some rows of W (rotated, not yet quantized).
void write_centered_bias(const OutputTensor& tensor, int64_t first, const Matrix& rows,
                         SafetensorsWriter& writer) {
  std::vector<float> bias = load_bias(tensor.bias, tensor.output);
  bias.resize(static_cast<size_t>(tensor.source.shape[0]));
  bias = {bias.begin() + first, bias.begin() + first + rows.rows()};
  add_centering(tensor.map, {DType::kF32, {rows.rows(), rows.cols()}, rows.data()}, bias);
  writer.write(tensor.name + ".centered_bias", first * int64_t{sizeof(float)},
               bytes_of(bias.data(), rows.rows() * int64_t{sizeof(float)}));
}

/// The name of a linear without the prefix that it has in files.
std::string linear_name(const OutputTensor& tensor) {
  constexpr std::string_view kPrefix = "model.";
  return tensor.name.starts_with(kPrefix) ? tensor.name.substr(kPrefix.size()) : tensor.name;
}

void write_bf16(const std::string& name, const Matrix& matrix, SafetensorsWriter& writer) {
  std::vector<bf16> values(static_cast<size_t>(matrix.size()));
  std::transform(matrix.data(), matrix.data() + matrix.size(), values.begin(), f32_to_bf16);
  writer.write(name, 0, bytes_of(values.data(), matrix.size() * int64_t{sizeof(bf16)}));
}

void store_weight(const OutputTensor& tensor, const WeightCodes& codes, SafetensorsWriter& writer,
                  ByteProgress& progress) {
  const auto made = codes.find(linear_name(tensor));
  const int64_t out_dim = tensor.source.shape[0], in_dim = tensor.source.shape[1];
  const int64_t wanted = std::max(kRowStep, kQuantizeBlock / in_dim / kRowStep * kRowStep);
  const int64_t step = rows_at_once(tensor.output, out_dim, wanted);
  Matrix block;
  for (int64_t first = 0; first < out_dim; first += step) {
    const int64_t rows = std::min(step, out_dim - first);
    block.reshape(rows, in_dim);
    load_weight_rows(tensor.source, tensor.map, tensor.output, first, block.view());
    if (!tensor.map.mean.empty()) write_centered_bias(tensor, first, block, writer);
    StoredWeightBuffer rounded;
    const auto clips = tensor.clips.empty()
                           ? std::span<const float>()
                           : std::span(tensor.clips).subspan(static_cast<size_t>(2 * first));
    if (made == codes.end()) rounded = quantize_weight(block.view(), tensor.spec, clips);
    const StoredWeight stored =
        made == codes.end() ? rounded.view : rows_of(made->second.stored.view, first, rows);
    const TensorView &packed = stored.packed, &scale = stored.scale;
    writer.write(tensor.name + ".weight_packed", first * (packed.bytes() / rows),
                 bytes_of(packed.data, packed.bytes()));
    writer.write(tensor.name + ".weight_scale", first * (scale.bytes() / rows),
                 bytes_of(scale.data, scale.bytes()));
    progress.advance(tensor.source.bytes() / out_dim * rows);
  }
  if (tensor.spec.rank > 0) {
    write_bf16(tensor.name + ".low_rank_up", made->second.branch.up, writer);
    write_bf16(tensor.name + ".low_rank_down", made->second.branch.down, writer);
  }
  const int64_t shape[] = {out_dim, in_dim};
  writer.write(tensor.name + ".weight_shape", 0, bytes_of(shape, sizeof shape));
}

}  // namespace

void ByteProgress::advance(int64_t bytes) {
  if (interrupted()) throw_runtime("quantize: interrupted");
  const int64_t before = done_ / 1'000'000;
  done_ += bytes;
  progress_.advance(done_ / 1'000'000 - before);
}

void write_shard(const OutputShard& shard, const std::filesystem::path& folder,
                 ByteProgress& progress, const WeightCodes& codes) {
  SafetensorsWriter writer(folder / shard.file, shard.layout(), kShardMetadata);
  for (const OutputTensor& tensor : shard.tensors) {
    if (tensor.is_stored())
      store_weight(tensor, codes, writer, progress);
    else
      copy_tensor(tensor, writer, progress);
  }
  writer.commit();
}

WeightCodes read_codes(const OutputShard& shard, const std::filesystem::path& folder) {
  WeightCodes codes;
  const Safetensors file = Safetensors::open(folder / shard.file);
  for (const OutputTensor& tensor : shard.tensors) {
    if (!tensor.is_stored()) continue;
    StoredWeight stored =
        stored_layout(tensor.spec, tensor.source.shape[0], tensor.source.shape[1]);
    stored.packed = file.at(tensor.name + ".weight_packed");
    stored.scale = file.at(tensor.name + ".weight_scale");
    CalibratedWeight& own = codes[linear_name(tensor)];
    own.stored = copy_of(stored);
    if (tensor.spec.rank == 0) continue;
    own.branch.up = to_matrix(file.at(tensor.name + ".low_rank_up"));
    own.branch.down = to_matrix(file.at(tensor.name + ".low_rank_down"));
  }
  return codes;
}

}  // namespace stamp
