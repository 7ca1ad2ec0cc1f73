#include "stamp/nn/scratch.h"

#include "stamp/core/tensor.h"

namespace stamp {

void* scratch(int64_t bytes) {
  thread_local AlignedBuffer buffer;
  thread_local int64_t capacity = 0;
  if (bytes > capacity) {
    buffer = {};
    capacity = 0;  // should there be no memory
    buffer = AlignedBuffer(bytes);
    capacity = bytes;
  }
  return buffer.data();
}

}  // namespace stamp
