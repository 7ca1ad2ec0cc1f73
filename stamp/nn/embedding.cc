#include "stamp/nn/embedding.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/io/mmap.h"
#include "stamp/nn/row_loop.h"
#include "stamp/quant/weight_quant.h"

namespace stamp {
namespace {

constexpr int64_t kRowsAtOnce = 32;

}  // namespace

void Embedding::gather(std::span<const int32_t> ids, FloatView out) const {
  const Shape shape = stored_ ? Shape{stored_->out_dim, stored_->in_dim} : table_.shape;
  if (shape.size() != 2 || shape[1] != out.cols || static_cast<int64_t>(ids.size()) != out.rows)
    throw_argument("embedding: table {} and {} ids do not give out [{}, {}]", to_string(shape),
                   ids.size(), out.rows, out.cols);
  for (const int32_t id : ids)
    if (id < 0 || id >= shape[0])
      throw_argument("embedding: expected token ids from 0 to {}, got {}", shape[0] - 1, id);
  const TensorView& table = stored_ ? stored_->packed : table_;
  for (int64_t first = 0; first < out.rows; first += kRowsAtOnce) {
    const int64_t end = std::min(out.rows, first + kRowsAtOnce);
    for_each_row(end - first, out.cols, [&](int64_t i) {
      read_row(ids[static_cast<size_t>(first + i)], out.rows_from(first + i, 1));
    });
    // A fault maps up to a megabyte around a row: scattered rows would keep the whole table.
    drop_mapped_pages(table.data, table.bytes());
  }
}

void Embedding::read_row(int64_t id, FloatView out) const {
  if (stored_) return dequantize(*stored_, id, out);
  to_f32(table_, id * out.cols, out.row_span(0));
  if (bits_ < 16) fake_quantize_weight(out, {.bits = bits_});
}

}  // namespace stamp
