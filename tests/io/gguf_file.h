#pragma once
// GGUF files for tests, byte by byte.
#include <cstdint>
#include <string>
#include <string_view>

namespace stamp {

class GgufBytes {
 public:
  enum Type : uint32_t {
    kU8 = 0,
    kU32 = 4,
    kF32 = 6,
    kBool = 7,
    kString = 8,
    kArray = 9,
    kU64 = 10,
    kF64 = 12
  };

  template <class T>
  GgufBytes& number(T value) {
    content_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  GgufBytes& text(std::string_view value) {
    number<uint64_t>(value.size());
    content_ += value;
    return *this;
  }
  GgufBytes& header(uint64_t tensors, uint64_t values, uint32_t version = 3) {
    content_ += "GGUF";
    return number(version).number(tensors).number(values);
  }
  GgufBytes& key(std::string_view name, uint32_t type) { return text(name).number(type); }
  GgufBytes& string_value(std::string_view name, std::string_view value) {
    return key(name, kString).text(value);
  }
  GgufBytes& u32_value(std::string_view name, uint32_t value) {
    return key(name, kU32).number(value);
  }
  /// Sizes as the file lists them, innermost first. Type 0 is F32.
  GgufBytes& tensor(std::string_view name, std::initializer_list<uint64_t> sizes, uint32_t type,
                    uint64_t offset) {
    text(name).number(static_cast<uint32_t>(sizes.size()));
    for (const uint64_t size : sizes) number(size);
    return number(type).number(offset);
  }
  /// Zeros up to where data begin, then `bytes` more.
  GgufBytes& data(size_t bytes, size_t alignment = 32) {
    content_.resize((content_.size() + alignment - 1) / alignment * alignment + bytes);
    return *this;
  }
  operator std::string_view() const { return content_; }
  const std::string& content() const { return content_; }

 private:
  std::string content_;
};

}  // namespace stamp
