#pragma once
// Plain values as bytes and back, for other processes of the same program.
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace stamp {

class ByteWriter {
 public:
  template <class T>
  requires std::is_trivially_copyable_v<T>
  void put(const T& value) { bytes_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  /// A vector, string or span, with its size before it.
  template <class Values>
  requires std::is_trivially_copyable_v<typename Values::value_type>
  void put_all(const Values& values) {
    put(values.size());
    bytes_.append(reinterpret_cast<const char*>(values.data()),
                  values.size() * sizeof(typename Values::value_type));
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// Throws std::runtime_error at the end of the bytes.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}
  template <class T>
  requires std::is_trivially_copyable_v<T> T get() {
    T value;
    std::memcpy(&value, next(1, sizeof value), sizeof value);
    return value;
  }
  /// What put_all() wrote, as a std::vector<T> or std::string.
  template <class Values>
  Values get_all() {
    using T = typename Values::value_type;
    const auto count = get<size_t>();
    const char* const from = next(count, sizeof(T));
    Values values(count, T{});
    if (count > 0) std::memcpy(values.data(), from, count * sizeof(T));
    return values;
  }
  bool at_end() const { return bytes_.empty(); }

 private:
  const char* next(size_t count, size_t size) {
    if (count > bytes_.size() / size) throw std::runtime_error("bytes: fewer than expected");
    const char* const first = bytes_.data();
    bytes_.remove_prefix(count * size);
    return first;
  }

  std::string_view bytes_;
};

}  // namespace stamp
