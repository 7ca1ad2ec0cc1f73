#include "stamp/pipelines/quantize_shard.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/io/mmap.h"
#include "stamp/io/safetensors_writer.h"
#include "stamp/nn/matmul.h"
#include "stamp/nn/row_loop.h"
#include "stamp/quant/stored_weight.h"

namespace stamp {
namespace {

constexpr int64_t kCopyBytes = int64_t{16} << 20;
constexpr int64_t kRowStep = 64;  // blocks are whole multiples of what product kernels work on

std::string_view bytes_of(const void* data, int64_t bytes) {
  return {static_cast<const char*>(data), static_cast<size_t>(bytes)};
}

const std::byte* address(const TensorView& tensor, int64_t offset) {
  return static_cast<const std::byte*>(tensor.data) + offset;
}

void copy_tensor(const OutputTensor& tensor, SafetensorsWriter& writer, ByteProgress& progress) {
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
  std::vector<float> plain, centered(static_cast<size_t>(rows.rows()));
  if (tensor.bias) {
    plain.resize(centered.size());
    to_f32(*tensor.bias, first, plain);
  }
  const TensorView weight{DType::kF32, {rows.rows(), rows.cols()}, rows.data()};
  matmul_transposed({tensor.mean.data(), 1, rows.cols(), rows.cols()}, weight, plain,
                    {centered.data(), 1, rows.rows(), rows.rows()}, false);
  writer.write(tensor.name + ".centered_bias", first * int64_t{sizeof(float)},
               bytes_of(centered.data(), rows.rows() * int64_t{sizeof(float)}));
}

void store_weight(const OutputTensor& tensor, SafetensorsWriter& writer, ByteProgress& progress) {
  const int64_t out_dim = tensor.source.shape[0], in_dim = tensor.source.shape[1];
  if (!tensor.mean.empty() && static_cast<int64_t>(tensor.mean.size()) != in_dim)
    throw_runtime("{}: calibrated means have {} channels, expected {}", tensor.name,
                  tensor.mean.size(), in_dim);
  const int64_t step = std::max(kRowStep, kQuantizeBlock / in_dim / kRowStep * kRowStep);
  Matrix block;
  for (int64_t first = 0; first < out_dim; first += step) {
    const int64_t rows = std::min(step, out_dim - first);
    load_rows(tensor, first, rows, block);
    if (!tensor.mean.empty()) write_centered_bias(tensor, first, block, writer);
    const StoredWeightBuffer stored = quantize_weight(block.view(), tensor.spec);
    const TensorView &packed = stored.view.packed, &scale = stored.view.scale;
    writer.write(tensor.name + ".weight_packed", first * (packed.bytes() / rows),
                 bytes_of(packed.data, packed.bytes()));
    writer.write(tensor.name + ".weight_scale", first * (scale.bytes() / rows),
                 bytes_of(scale.data, scale.bytes()));
    progress.advance(tensor.source.bytes() / out_dim * rows);
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

void load_rows(const OutputTensor& tensor, int64_t first, int64_t rows, Matrix& block) {
  const int64_t in_dim = tensor.source.shape[1];
  block.reshape(rows, in_dim);
  for_each_row(rows, in_dim, [&](int64_t i) {
    to_f32(tensor.source, (first + i) * in_dim, block.view().row_span(i));
  });
  const int64_t row_bytes = in_dim * dtype_size(tensor.source.dtype);
  drop_mapped_pages(address(tensor.source, first * row_bytes), rows * row_bytes);
  if (tensor.rotation) apply_hadamard(block.view(), *tensor.rotation);
}

void write_shard(const OutputShard& shard, const std::filesystem::path& folder,
                 ByteProgress& progress) {
  SafetensorsWriter writer(folder / shard.file, shard.layout(), kShardMetadata);
  for (const OutputTensor& tensor : shard.tensors) {
    if (tensor.is_stored())
      store_weight(tensor, writer, progress);
    else
      copy_tensor(tensor, writer, progress);
  }
  writer.commit();
}

}  // namespace stamp
