#include "stamp/io/safetensors_writer.h"

#include <algorithm>
#include <vector>

#include "stamp/core/error.h"
#include "stamp/io/json.h"
#include "stamp/io/safetensors.h"

namespace stamp {
namespace {

using Entry = std::pair<const std::string, TensorView>;

/// Wide elements first: then every tensor is aligned although there are no gaps, which readers
/// refuse.
std::vector<const Entry*> file_order(const std::map<std::string, TensorView>& tensors) {
  std::vector<const Entry*> order;
  for (const Entry& entry : tensors) order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
    return dtype_size(a->second.dtype) > dtype_size(b->second.dtype);
  });
  return order;
}

/// Length and header, as the file begins.
std::string preamble(const std::vector<const Entry*>& order,
                     const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  int64_t offset = 0;
  for (const Entry* entry : order) {
    const auto& [name, view] = *entry;
    header[name] = {{"dtype", dtype_name(view.dtype)},
                    {"shape", view.shape},
                    {"data_offsets", {offset, offset + view.bytes()}}};
    offset += view.bytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data starts aligned
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& file,
                                     const std::map<std::string, TensorView>& tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(file), where_(file.string()) {
  if (tensors.contains("__metadata__"))
    throw_argument("{}: '__metadata__' is not a tensor name", where_);
  const auto order = file_order(tensors);
  const std::string head = preamble(order, metadata);
  file_.write_at(0, head);
  auto begin = static_cast<int64_t>(head.size());
  for (const Entry* entry : order) {
    places_[entry->first] = {begin, entry->second.bytes()};
    begin += entry->second.bytes();
    missing_ += entry->second.bytes();
  }
}

void SafetensorsWriter::write(const std::string& name, int64_t offset, std::string_view bytes) {
  const auto place = places_.find(name);
  const auto count = static_cast<int64_t>(bytes.size());
  if (place == places_.end() || offset < 0 || offset > place->second.bytes ||
      count > place->second.bytes - offset)
    throw_argument("{}: tensor '{}' has no {} bytes at {}", where_, name, count, offset);
  file_.write_at(place->second.begin + offset, bytes);
  missing_ -= count;
}

void SafetensorsWriter::commit() {
  if (missing_ != 0) throw_argument("{}: {} bytes of tensors are missing", where_, missing_);
  file_.commit();
}

int64_t SafetensorsWriter::file_bytes(const std::map<std::string, TensorView>& tensors,
                                      const std::map<std::string, std::string>& metadata) {
  auto bytes = static_cast<int64_t>(preamble(file_order(tensors), metadata).size());
  for (const auto& [name, view] : tensors) bytes += view.bytes();
  return bytes;
}

void write_safetensors(const std::filesystem::path& file,
                       const std::map<std::string, TensorView>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  SafetensorsWriter writer(file, tensors, metadata);
  for (const auto& [name, view] : tensors)
    writer.write(name, 0, {static_cast<const char*>(view.data), static_cast<size_t>(view.bytes())});
  writer.commit();
}

}  // namespace stamp
