#pragma once
// Named tensors of one or more files, whatever the format.
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "stamp/core/tensor.h"

namespace stamp {

/// Views stay valid as long as this object, or a copy of it, lives.
class TensorStore {
 public:
  TensorStore() = default;
  /// `source` is what errors name.
  explicit TensorStore(std::filesystem::path source) : source_(std::move(source)) {}

  bool contains(const std::string& name) const { return tensors_.contains(name); }
  /// Throws std::runtime_error naming the file or directory when there is no such tensor.
  const TensorView& at(const std::string& name) const;
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  /// Total bytes of tensor data.
  int64_t bytes() const;
  const std::filesystem::path& source() const { return source_; }

  /// Adds `views` of memory that `owner` keeps alive. Throws std::runtime_error naming `where` when
  /// there is a tensor of the same name.
  void add(std::map<std::string, TensorView> views, std::shared_ptr<const void> owner,
           const std::string& where);
  /// Takes a tensor out; its memory stays.
  void remove(const std::string& name) { tensors_.erase(name); }
  /// Lets `view` of memory that `owner` keeps alive stand for a tensor that is there.
  void replace(const std::string& name, TensorView view, std::shared_ptr<const void> owner);

 private:
  std::filesystem::path source_;
  std::vector<std::shared_ptr<const void>> owners_;
  std::map<std::string, TensorView> tensors_;
};

/// Memory for a tensor made here, shared by those who view it.
inline std::shared_ptr<AlignedBuffer> shared_buffer(int64_t bytes) {
  return std::make_shared<AlignedBuffer>(bytes);
}

}  // namespace stamp
