#pragma once
// What readers of files with tensors promise.
#include <cstring>
#include <vector>

#include "stamp/core/tensor.h"
#include "tests/fuzz/fuzz.h"

namespace stamp::fuzz {

/// A copy of the input at an address that a mapping could have: libFuzzer's own may begin anywhere.
class MappedInput {
 public:
  MappedInput(const uint8_t* data, size_t size) : pages_(size / sizeof(Aligned) + 1), size_(size) {
    if (size > 0) std::memcpy(pages_.data(), data, size);
  }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(pages_)).first(size_); }

 private:
  struct alignas(64) Aligned {
    std::byte bytes[64];
  };
  std::vector<Aligned> pages_;
  size_t size_;
};

/// That the view lies inside the file, aligned for `alignment` bytes.
inline void check_view(std::span<const std::byte> file, const TensorView& view, int alignment) {
  uint64_t elements = 1;
  for (const int64_t size : view.shape) elements *= static_cast<uint64_t>(size);
  const uint64_t bytes = elements / static_cast<uint64_t>(dtype_block(view.dtype)) *
                         static_cast<uint64_t>(dtype_size(view.dtype));
  const auto* begin = static_cast<const std::byte*>(view.data);
  const auto offset = static_cast<uint64_t>(begin - file.data());
  require(offset <= file.size() && bytes <= file.size() - offset, "a view leaves the file");
  require(reinterpret_cast<uintptr_t>(begin) % static_cast<uintptr_t>(alignment) == 0,
          "a view is misaligned");
}

}  // namespace stamp::fuzz
