#include "stamp/io/gguf.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <optional>
#include <span>
#include <vector>

#include "stamp/core/error.h"

namespace stamp {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF data is used in place");

constexpr std::string_view kMagic = "GGUF";
constexpr uint64_t kMostArrayValues = uint64_t{1} << 22;
constexpr uint64_t kDefaultAlignment = 32, kLargestAlignment = 1 << 16;
constexpr uint32_t kMostDimensions = 4;
constexpr uint64_t kMostItems = 1 << 18;  // values, and tensors; large models have some thousand
constexpr size_t kLeastTensorBytes = 8 + 4 + 8 + 4 + 8;  // of a description with one dimension
constexpr size_t kLeastValueBytes = 8 + 4 + 1;

enum ValueType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};

/// Least bytes of a value in the file; 0: unknown type.
size_t least_bytes(uint32_t type) {
  constexpr size_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
  return type < std::size(kBytes) ? kBytes[type] : 0;
}

struct TensorType {
  uint32_t id;
  std::string_view name;
  std::optional<DType> dtype;  // none: known, but unsupported
};
constexpr std::nullopt_t kNot = std::nullopt;
constexpr TensorType kTensorTypes[] = {
    {0, "F32", DType::kF32},   {1, "F16", DType::kF16},    {2, "Q4_0", DType::kQ4_0},
    {3, "Q4_1", DType::kQ4_1}, {6, "Q5_0", DType::kQ5_0},  {7, "Q5_1", DType::kQ5_1},
    {8, "Q8_0", DType::kQ8_0}, {9, "Q8_1", kNot},          {10, "Q2_K", DType::kQ2K},
    {11, "Q3_K", DType::kQ3K}, {12, "Q4_K", DType::kQ4K},  {13, "Q5_K", DType::kQ5K},
    {14, "Q6_K", DType::kQ6K}, {15, "Q8_K", kNot},         {16, "IQ2_XXS", kNot},
    {17, "IQ2_XS", kNot},      {18, "IQ3_XXS", kNot},      {19, "IQ1_S", kNot},
    {20, "IQ4_NL", kNot},      {21, "IQ3_S", kNot},        {22, "IQ2_S", kNot},
    {23, "IQ4_XS", kNot},      {24, "I8", kNot},           {25, "I16", kNot},
    {26, "I32", kNot},         {27, "I64", kNot},          {28, "F64", kNot},
    {29, "IQ1_M", kNot},       {30, "BF16", DType::kBF16}, {34, "TQ1_0", kNot},
    {35, "TQ2_0", kNot},       {39, "MXFP4", kNot}};

std::string supported_types() {
  std::string names;
  for (const TensorType& type : kTensorTypes)
    if (type.dtype) names += (names.empty() ? "" : ", ") + std::string(type.name);
  return names;
}

/// Bytes of a file from a position on; every read is checked.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, size_t position, const std::string& where)
      : bytes_(bytes), position_(position), where_(where) {}

  template <class T>
  T number(const std::string& what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what), sizeof(T));
    return value;
  }

  std::string_view text(const std::string& what) {
    const uint64_t length = number<uint64_t>(what);
    if (length > left()) fail("{} has a length of {} bytes, {} are left", what, length, left());
    return {reinterpret_cast<const char*>(take(length, what)), length};
  }

  void skip(uint64_t count, const std::string& what) {
    if (count > left()) fail("{} ends outside the file", what);
    take(count, what);
  }

  uint64_t left() const { return bytes_.size() - position_; }
  size_t position() const { return position_; }
  const std::string& where() const { return where_; }

  template <class... Arguments>
  [[noreturn]] void fail(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    throw_runtime("{}: {}", where_, fmt::format(format, std::forward<Arguments>(arguments)...));
  }

 private:
  const std::byte* take(uint64_t count, const std::string& what) {
    if (count > left()) fail("the file ends inside {}, at byte {}", what, bytes_.size());
    const std::byte* data = bytes_.data() + position_;
    position_ += count;
    return data;
  }

  std::span<const std::byte> bytes_;
  size_t position_;
  const std::string& where_;
};

/// A JSON text may hold valid UTF-8 only.
Json text_value(std::string_view text, const std::string& what, const Cursor& cursor) {
  Json value = std::string(text);
  const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
  try {
    if (!ascii) (void)value.dump();
  } catch (const Json::exception&) {
    cursor.fail("{} is not valid UTF-8", what);
  }
  return value;
}

/// The shortest decimal number that gives this value in fp32: 1e-6, not 9.99...e-7.
Json decimal(double value, bool single, const std::string& what, const Cursor& cursor) {
  if (!std::isfinite(value)) cursor.fail("{} is not a finite number", what);
  return single ? std::stod(fmt::format("{}", static_cast<float>(value))) : value;
}

/// A value that is no array.
Json scalar(Cursor& cursor, uint32_t type, const std::string& what) {
  switch (type) {
    case kU8:
      return cursor.number<uint8_t>(what);
    case kI8:
      return cursor.number<int8_t>(what);
    case kU16:
      return cursor.number<uint16_t>(what);
    case kI16:
      return cursor.number<int16_t>(what);
    case kU32:
      return cursor.number<uint32_t>(what);
    case kI32:
      return cursor.number<int32_t>(what);
    case kF32:
      return decimal(cursor.number<float>(what), true, what, cursor);
    case kBool:
      return cursor.number<uint8_t>(what) != 0;
    case kString:
      return text_value(cursor.text(what), what, cursor);
    case kU64:
      return cursor.number<uint64_t>(what);
    case kI64:
      return cursor.number<int64_t>(what);
    case kF64:
      return decimal(cursor.number<double>(what), false, what, cursor);
    default:
      cursor.fail("{} has the unknown value type {}", what, type);
  }
}

std::string shown(std::string_view name) {
  std::string text(name.substr(0, 100));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 32 || static_cast<unsigned char>(c) > 126) c = '?';
  return text;
}

/// Data of a tensor, before the place where they begin is known.
struct Data {
  std::string name;
  uint64_t offset = 0, bytes = 0;
};

}  // namespace

class GgufReader {
 public:
  GgufReader(std::span<const std::byte> bytes, const std::filesystem::path& path)
      : where_(path.string()), cursor_(bytes, 0, where_) {
    result_.path_ = path;
    result_.bytes_ = bytes;
  }

  Gguf read() {
    const uint64_t tensors = read_header();
    const uint64_t values = cursor_.number<uint64_t>("the header");
    check_count(values, kLeastValueBytes, "values");
    for (uint64_t i = 0; i < values; ++i) read_value();
    check_count(tensors, kLeastTensorBytes, "tensors");
    for (uint64_t i = 0; i < tensors; ++i) read_tensor();
    place_tensors();
    return std::move(result_);
  }

 private:
  /// The number of tensors.
  uint64_t read_header() {
    char magic[4];
    for (char& c : magic) c = cursor_.number<char>("the header");
    if (std::string_view(magic, 4) != kMagic) cursor_.fail("expected a GGUF file, found another");
    const auto version = cursor_.number<uint32_t>("the header");
    if (version == 0x02000000 || version == 0x03000000)
      cursor_.fail("the file is big-endian, supported is little-endian");
    if (version != 2 && version != 3)
      cursor_.fail("GGUF version {}, supported are 2 and 3", version);
    return cursor_.number<uint64_t>("the header");
  }

  void check_count(uint64_t count, size_t least, const char* what) const {
    if (count > kMostItems && count <= cursor_.left() / least)
      cursor_.fail("{} {}, supported are {}", count, what, kMostItems);
    if (count > cursor_.left() / least)
      cursor_.fail("{} {} do not fit into the {} bytes that are left", count, what, cursor_.left());
  }

  void read_value() {
    const std::string key(cursor_.text("a key"));
    const std::string what = "'" + shown(key) + "'";
    text_value(key, what, cursor_);
    if (result_.metadata_.contains(key) || result_.arrays_.contains(key))
      cursor_.fail("{} stands twice", what);
    const auto type = cursor_.number<uint32_t>(what);
    if (type != kArray) {
      result_.metadata_[key] = scalar(cursor_, type, what);
      return;
    }
    const auto element = cursor_.number<uint32_t>(what);
    const auto count = cursor_.number<uint64_t>(what);
    const size_t least = least_bytes(element);
    if (least == 0 || element == kArray)
      cursor_.fail("{} is an array of the unsupported value type {}", what, element);
    if (count > cursor_.left() / least)
      cursor_.fail("{} is an array of {} values, which {} bytes cannot hold", what, count,
                   cursor_.left());
    result_.arrays_[key] = {element, count, cursor_.position()};
    if (element != kString) return cursor_.skip(count * least, what);
    for (uint64_t i = 0; i < count; ++i) cursor_.text(what);
  }

  DType dtype_of(uint32_t id, const std::string& what) const {
    for (const TensorType& type : kTensorTypes) {
      if (type.id != id) continue;
      if (type.dtype) return *type.dtype;
      cursor_.fail("{} has the unsupported type {}; supported are {}", what, type.name,
                   supported_types());
    }
    cursor_.fail("{} has the unknown type {}; supported are {}", what, id, supported_types());
  }

  void read_tensor() {
    const std::string name(cursor_.text("the name of a tensor"));
    const std::string what = "tensor '" + shown(name) + "'";
    text_value(name, what, cursor_);
    const auto dimensions = cursor_.number<uint32_t>(what);
    if (dimensions < 1 || dimensions > kMostDimensions)
      cursor_.fail("{} has {} dimensions, supported are 1 to {}", what, dimensions,
                   kMostDimensions);
    TensorView view;
    for (uint32_t i = 0; i < dimensions; ++i) view.shape.push_back(cursor_.number<int64_t>(what));
    std::reverse(view.shape.begin(), view.shape.end());
    view.dtype = dtype_of(cursor_.number<uint32_t>(what), what);
    data_.push_back({name, cursor_.number<uint64_t>(what), bytes_of(view, what)});
    if (!result_.tensors_.emplace(name, std::move(view)).second)
      cursor_.fail("{} stands twice", what);
  }

  uint64_t bytes_of(const TensorView& view, const std::string& what) const {
    int64_t count = 1;
    for (const int64_t size : view.shape)
      if (size < 1 || __builtin_mul_overflow(count, size, &count))
        cursor_.fail("{} has shape {}, which is empty or overflows", what, to_string(view.shape));
    const int64_t block = dtype_block(view.dtype);
    int64_t bytes = 0;
    if (view.shape.back() % block != 0)
      cursor_.fail("{} has rows of {} elements, {} needs multiples of {}", what, view.shape.back(),
                   dtype_name(view.dtype), block);
    if (__builtin_mul_overflow(count / block, int64_t{dtype_size(view.dtype)}, &bytes))
      cursor_.fail("{} has shape {}, which overflows", what, to_string(view.shape));
    return static_cast<uint64_t>(bytes);
  }

  uint64_t alignment() const {
    const auto found = result_.metadata_.find("general.alignment");
    if (found == result_.metadata_.end()) return kDefaultAlignment;
    const uint64_t value = found->is_number_unsigned() ? found->get<uint64_t>() : 0;
    if (!std::has_single_bit(value) || value < 8 || value > kLargestAlignment)
      cursor_.fail("'general.alignment' is {}, expected a power of two in [8, {}]", found->dump(),
                   kLargestAlignment);
    return value;
  }

  void place_tensors() {
    const std::span<const std::byte> bytes = result_.bytes_;
    const uint64_t step = alignment();
    const uint64_t begin = (cursor_.position() + step - 1) / step * step;
    const uint64_t available = begin < bytes.size() ? bytes.size() - begin : 0;
    std::sort(data_.begin(), data_.end(),
              [](const Data& a, const Data& b) { return a.offset < b.offset; });
    const Data* before = nullptr;
    for (const Data& data : data_) {
      if (data.offset % step != 0)
        cursor_.fail(
            "tensor '{}' starts at byte {} of the data, which is misaligned: expected a "
            "multiple of {}",
            shown(data.name), data.offset, step);
      if (data.offset > available || data.bytes > available - data.offset)
        cursor_.fail(
            "tensor '{}' has {} bytes at {} of the data, which are {} bytes; is the file "
            "complete?",
            shown(data.name), data.bytes, data.offset, available);
      if (before != nullptr && data.offset < before->offset + before->bytes)
        cursor_.fail("tensor '{}' shares bytes with '{}'", shown(data.name), shown(before->name));
      before = &data;
      result_.tensors_.at(data.name).data = bytes.data() + begin + data.offset;
    }
  }

  std::string where_;
  Cursor cursor_;
  Gguf result_;
  std::vector<Data> data_;
};

Gguf Gguf::open(const std::filesystem::path& path) {
  const auto file = std::make_shared<const MappedFile>(path);
  Gguf result = read(file->bytes(), path);
  result.file_ = file;
  return result;
}

Gguf Gguf::read(std::span<const std::byte> bytes, const std::filesystem::path& path) {
  return GgufReader(bytes, path).read();
}

Json Gguf::array(const std::string& key) const {
  const std::string where = path().string(), what = "'" + shown(key) + "'";
  const auto found = arrays_.find(key);
  if (found == arrays_.end()) throw_runtime("{}: there is no array {}", where, what);
  const Array& array = found->second;
  if (array.count > kMostArrayValues)
    throw_runtime("{}: {} holds {} values, supported are {}", where, what, array.count,
                  kMostArrayValues);
  Cursor cursor(bytes_, array.position, where);
  Json values = Json::array();
  for (uint64_t i = 0; i < array.count; ++i) values.push_back(scalar(cursor, array.type, what));
  return values;
}

bool is_gguf(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto type = std::filesystem::status(path, ignored).type();
  if (type == std::filesystem::file_type::directory) return false;
  if (path.extension() == ".gguf") return true;
  if (type != std::filesystem::file_type::regular) return false;
  char magic[4] = {};
  std::ifstream(path, std::ios::binary).read(magic, sizeof magic);
  return std::string_view(magic, sizeof magic) == kMagic;
}

}  // namespace stamp
