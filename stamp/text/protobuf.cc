#include "stamp/text/protobuf.h"

#include <cstring>

#include "stamp/core/error.h"

namespace stamp {

std::string_view ProtobufReader::take(uint64_t bytes) {
  if (bytes > rest_.size())
    throw_runtime(
        "{}: a field of {} bytes where {} are left; the file is cut off or no protocol "
        "buffer",
        where_, bytes, rest_.size());
  const std::string_view result = rest_.substr(0, bytes);
  rest_.remove_prefix(bytes);
  return result;
}

uint64_t ProtobufReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<uint8_t>(take(1)[0]);
    value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  throw_runtime("{}: a number of more than ten bytes; the file is no protocol buffer", where_);
}

uint64_t ProtobufReader::fixed(uint64_t bytes) {
  uint64_t value = 0;
  std::memcpy(&value, take(bytes).data(), bytes);
  return value;
}

std::optional<ProtobufField> ProtobufReader::next() {
  if (rest_.empty()) return std::nullopt;
  const uint64_t key = varint();
  ProtobufField field{.id = static_cast<uint32_t>(key >> 3)};
  switch (key & 7) {
    case 0:
      field.number = varint();
      break;
    case 1:
      field.number = fixed(8);
      break;
    case 2:
      field.bytes = take(varint());
      break;
    case 5:
      field.number = fixed(4);
      break;
    default:
      throw_runtime("{}: a field of wire type {}; the file is no protocol buffer of this kind",
                    where_, key & 7);
  }
  return field;
}

}  // namespace stamp
