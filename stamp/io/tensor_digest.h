#pragma once
// One SHA-256 over named tensors.
#include <map>
#include <string>

#include "stamp/core/tensor.h"

namespace stamp {

/// Over names, types, shapes and bytes in the order in which they are added. Bytes are read on all
/// threads.
class TensorDigest {
 public:
  void add(const std::string& name, const TensorView& tensor);
  void add(const std::map<std::string, TensorView>& tensors);
  /// A line of text without line feeds, as part of what is digested.
  void add_text(const std::string& line);
  /// 64 lower-case hexadecimal digits.
  std::string finish() const;

 private:
  std::string lines_;
};

}  // namespace stamp
