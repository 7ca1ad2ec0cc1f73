#include "stamp/nn/embedding.h"

#include "stamp/core/error.h"
#include "stamp/nn/row_loop.h"
#include "stamp/quant/weight_quant.h"

namespace stamp {

void Embedding::gather(std::span<const int32_t> ids, FloatView out) const {
  const Shape shape = stored_ ? Shape{stored_->out_dim, stored_->in_dim} : table_.shape;
  if (shape.size() != 2 || shape[1] != out.cols || static_cast<int64_t>(ids.size()) != out.rows)
    throw_argument("embedding: table {} and {} ids do not give out [{}, {}]", to_string(shape),
                   ids.size(), out.rows, out.cols);
  for (const int32_t id : ids)
    if (id < 0 || id >= shape[0])
      throw_argument("embedding: expected token ids from 0 to {}, got {}", shape[0] - 1, id);
  for_each_row(out.rows, out.cols, [&](int64_t i) {
    const int64_t id = ids[static_cast<size_t>(i)];
    if (stored_) return dequantize(*stored_, id, out.rows_from(i, 1));
    to_f32(table_, id * out.cols, out.row_span(i));
    if (bits_ < 16) fake_quantize_weight(out.rows_from(i, 1), {.bits = bits_});
  });
}

}  // namespace stamp
