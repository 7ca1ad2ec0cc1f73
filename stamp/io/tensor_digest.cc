#include "stamp/io/tensor_digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "stamp/core/parallel.h"
#include "stamp/io/sha256.h"

namespace stamp {

void TensorDigest::add(const std::string& name, const TensorView& tensor) {
  constexpr int64_t kPiece = int64_t{4} << 20;  // bytes that one thread digests
  const int64_t bytes = tensor.bytes();
  const auto* data = static_cast<const char*>(tensor.data);
  std::vector<std::string> pieces(static_cast<size_t>((bytes + kPiece - 1) / kPiece));
  parallel_for(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    const int64_t count = std::min(kPiece, bytes - i * kPiece);
    pieces[static_cast<size_t>(i)] = sha256({data + i * kPiece, static_cast<size_t>(count)});
  });
  add_text(fmt::format("{:?} {} {}", name, dtype_name(tensor.dtype), to_string(tensor.shape)));
  for (const std::string& piece : pieces) add_text(piece);
}

void TensorDigest::add(const std::map<std::string, TensorView>& tensors) {
  for (const auto& [name, tensor] : tensors) add(name, tensor);
}

void TensorDigest::add_text(const std::string& line) { lines_ += line + '\n'; }

std::string TensorDigest::finish() const { return sha256(lines_); }

}  // namespace stamp
