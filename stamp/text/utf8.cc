#include "stamp/text/utf8.h"

namespace stamp {

size_t complete_utf8_prefix(std::string_view bytes) {
  const size_t size = bytes.size();
  // A character has at most four bytes, so an unfinished one starts among the last three.
  for (size_t back = 1; back <= 3 && back <= size; ++back) {
    const auto byte = static_cast<unsigned char>(bytes[size - back]);
    if ((byte & 0xc0) == 0x80) continue;  // continuation: its start lies before
    const size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? size - back : size;
  }
  return size;
}

}  // namespace stamp
