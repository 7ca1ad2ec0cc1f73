#include "stamp/io/safetensors_header.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "stamp/core/error.h"

namespace stamp {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is used in place");

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own library
constexpr size_t kLengthBytes = sizeof(uint64_t);

/// Bytes [begin, end) of the data that follows the header.
struct Range {
  uint64_t begin, end;
  std::string name;
};

class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> file, const std::string& where)
      : file_(file), where_(where) {}

  SafetensorsHeader read() {
    const Json header = parse_json(header_text(), where_ + " (header)");
    if (!header.is_object()) throw_runtime("{}: the header is not a JSON object", where_);
    SafetensorsHeader result;
    for (const auto& [name, entry] : header.items())
      if (name != "__metadata__") result.tensors.emplace(name, tensor(name, entry));
    check_overlaps();
    const auto metadata = header.find("__metadata__");
    if (metadata != header.end() && metadata->is_object())
      for (const auto& [key, value] : metadata->items())
        if (value.is_string()) result.metadata[key] = value.get<std::string>();
    return result;
  }

 private:
  std::string_view header_text() {
    if (file_.size() < kLengthBytes)
      throw_runtime("{}: too short for a safetensors file, {} bytes", where_, file_.size());
    uint64_t length;
    std::memcpy(&length, file_.data(), kLengthBytes);
    const uint64_t available = file_.size() - kLengthBytes;
    if (length > std::min(kMaxHeaderBytes, available))
      throw_runtime("{}: expected a header of at most {} bytes, got {}; not a safetensors file?",
                    where_, std::min(kMaxHeaderBytes, available), length);
    data_ = file_.subspan(kLengthBytes + length);
    return {reinterpret_cast<const char*>(file_.data()) + kLengthBytes, length};
  }

  TensorView tensor(const std::string& name, const Json& entry) {
    if (!entry.is_object()) fail(name, "is not described by an object");
    const DType dtype = dtype_of(name, entry);
    TensorView view{dtype, shape_of(name, entry), nullptr};
    const Range range = range_of(name, entry);
    if (range.end - range.begin != bytes_of(name, view))
      fail(name, fmt::format("has {} bytes, {} of shape {} needs {}", range.end - range.begin,
                             dtype_name(dtype), to_string(view.shape), bytes_of(name, view)));
    view.data = data_.data() + range.begin;
    if (reinterpret_cast<uintptr_t>(view.data) % static_cast<uintptr_t>(dtype_size(dtype)) != 0)
      fail(name, fmt::format("starts at byte {}, which is misaligned for {}", range.begin,
                             dtype_name(dtype)));
    ranges_.push_back(range);
    return view;
  }

  DType dtype_of(const std::string& name, const Json& entry) const {
    const auto dtype = entry.find("dtype");
    if (dtype == entry.end() || !dtype->is_string()) fail(name, "has no 'dtype'");
    try {
      return dtype_from_name(dtype->get_ref<const std::string&>());
    } catch (const std::invalid_argument&) {
      fail(name,
           fmt::format("has unsupported dtype '{}'", dtype->get<std::string>().substr(0, 50)));
    }
  }

  Shape shape_of(const std::string& name, const Json& entry) const {
    return sizes<int64_t>(name, entry, "shape");
  }

  Range range_of(const std::string& name, const Json& entry) const {
    const auto offsets = sizes<uint64_t>(name, entry, "data_offsets");
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_.size())
      fail(name, fmt::format("has data_offsets [{}], expected begin <= end <= {}",
                             fmt::join(offsets, ", "), data_.size()));
    return {offsets[0], offsets[1], name};
  }

  /// A list of non-negative integers that fit into int64_t.
  template <class T>
  std::vector<T> sizes(const std::string& name, const Json& entry, const char* key) const {
    const auto list = entry.find(key);
    if (list == entry.end() || !list->is_array()) fail(name, fmt::format("has no list '{}'", key));
    std::vector<T> result;
    for (const Json& value : *list) {
      if (!value.is_number_unsigned() ||
          value.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()})
        fail(name, fmt::format("has a value in '{}' that is no valid size", key));
      result.push_back(value.get<T>());
    }
    return result;
  }

  uint64_t bytes_of(const std::string& name, const TensorView& view) const {
    int64_t bytes = dtype_size(view.dtype);
    for (const int64_t size : view.shape)
      if (__builtin_mul_overflow(bytes, size, &bytes))
        fail(name, fmt::format("has shape {}, which overflows", to_string(view.shape)));
    return static_cast<uint64_t>(bytes);
  }

  void check_overlaps() {
    std::erase_if(ranges_, [](const Range& r) { return r.begin == r.end; });
    std::sort(ranges_.begin(), ranges_.end(),
              [](const Range& a, const Range& b) { return a.begin < b.begin; });
    for (size_t i = 1; i < ranges_.size(); ++i)
      if (ranges_[i].begin < ranges_[i - 1].end)
        fail(ranges_[i].name, fmt::format("shares bytes with '{}'", ranges_[i - 1].name));
  }

  [[noreturn]] void fail(const std::string& name, const std::string& reason) const {
    throw_runtime("{}: tensor '{}' {}", where_, name, reason);
  }

  std::span<const std::byte> file_, data_;
  const std::string& where_;
  std::vector<Range> ranges_;
};

void check_shard_name(const std::string& shard, const std::string& where) {
  const bool plain = shard.find_first_of(std::string_view("/\\\0", 3)) == shard.npos;
  if (!plain || !shard.ends_with(".safetensors"))
    throw_runtime("{}: expected shards to be plain names ending in .safetensors, got '{}'", where,
                  shard.substr(0, 200));
}

}  // namespace

SafetensorsHeader read_safetensors_header(std::span<const std::byte> file,
                                          const std::string& where) {
  return HeaderReader(file, where).read();
}

std::map<std::string, std::vector<std::string>> read_shard_index(const Json& json,
                                                                 const std::string& where) {
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object() ||
      json["weight_map"].empty())
    throw_runtime("{}: expected an object 'weight_map' that names tensors", where);
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [tensor, shard] : json["weight_map"].items()) {
    if (!shard.is_string()) throw_runtime("{}: weight_map['{}'] is not a file name", where, tensor);
    check_shard_name(shard.get_ref<const std::string&>(), where);
    shards[shard.get_ref<const std::string&>()].push_back(tensor);
  }
  return shards;
}

}  // namespace stamp
