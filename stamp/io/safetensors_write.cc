#include <algorithm>
#include <string_view>

#include "stamp/core/error.h"
#include "stamp/io/atomic_file.h"
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

std::string header_of(const std::vector<const Entry*>& order,
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
  return text;
}

std::string_view as_chars(const void* data, int64_t bytes) {
  return {static_cast<const char*>(data), static_cast<size_t>(bytes)};
}

}  // namespace

void write_safetensors(const std::filesystem::path& file,
                       const std::map<std::string, TensorView>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  if (tensors.contains("__metadata__"))
    throw_argument("{}: '__metadata__' is not a tensor name", file.string());
  const auto order = file_order(tensors);
  const std::string header = header_of(order, metadata);
  const uint64_t length = header.size();
  AtomicFile out(file);
  out.write(as_chars(&length, sizeof length));
  out.write(header);
  for (const Entry* entry : order)
    if (entry->second.bytes() > 0) out.write(as_chars(entry->second.data, entry->second.bytes()));
  out.commit();
}

}  // namespace stamp
