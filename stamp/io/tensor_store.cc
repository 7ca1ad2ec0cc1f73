#include "stamp/io/tensor_store.h"

#include "stamp/core/error.h"

namespace stamp {

const TensorView& TensorStore::at(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw_runtime("{}: there is no tensor '{}'", source_.string(), name);
  return found->second;
}

int64_t TensorStore::bytes() const {
  int64_t total = 0;
  for (const auto& [name, view] : tensors_) total += view.bytes();
  return total;
}

void TensorStore::add(std::map<std::string, TensorView> views, std::shared_ptr<const void> owner,
                      const std::string& where) {
  owners_.push_back(std::move(owner));
  tensors_.merge(views);  // leaves behind what was there already
  if (!views.empty())
    throw_runtime("{}: tensor '{}' is in another shard, too", where, views.begin()->first);
}

void TensorStore::replace(const std::string& name, TensorView view,
                          std::shared_ptr<const void> owner) {
  owners_.push_back(std::move(owner));
  tensors_.at(name) = std::move(view);
}

}  // namespace stamp
