#pragma once
// The wire format of protocol buffers: fields of a message in a byte string.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stamp {

/// One field. `number` holds varints and fixed-width values, `bytes` what is length-delimited.
struct ProtobufField {
  uint32_t id = 0;
  uint64_t number = 0;
  std::string_view bytes;
};

/// Reads the fields of one message in order.
class ProtobufReader {
 public:
  /// `where` names the source in errors; `message` must outlive this.
  ProtobufReader(std::string_view message, const std::string& where)
      : rest_(message), where_(where) {}
  /// The next field, nothing at the end. Throws std::runtime_error for a message that is cut off or
  /// has groups.
  std::optional<ProtobufField> next();

 private:
  uint64_t varint();
  std::string_view take(uint64_t bytes);
  uint64_t fixed(uint64_t bytes);

  std::string_view rest_;
  std::string where_;
};

}  // namespace stamp
