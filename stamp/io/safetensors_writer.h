#pragma once
// Writing a safetensors file whose tensors arrive in pieces.
#include <map>
#include <string>
#include <string_view>

#include "stamp/core/tensor.h"
#include "stamp/io/atomic_file.h"

namespace stamp {

/// The file appears under its name on commit(), never before. Tensors lie in the order of their
/// element sizes (widest first), then of their names.
class SafetensorsWriter {
 public:
  /// Types and shapes come from `tensors`; their data is not looked at. Throws
  /// std::invalid_argument for a tensor called "__metadata__", std::runtime_error for the file.
  SafetensorsWriter(const std::filesystem::path& file,
                    const std::map<std::string, TensorView>& tensors,
                    const std::map<std::string, std::string>& metadata = {});
  /// Bytes [offset, offset + bytes.size()) of tensor `name`. Throws std::invalid_argument when
  /// there are none such.
  void write(const std::string& name, int64_t offset, std::string_view bytes);
  /// Throws std::invalid_argument unless as many bytes were written as the tensors have.
  void commit();

  /// Size of the finished file.
  static int64_t file_bytes(const std::map<std::string, TensorView>& tensors,
                            const std::map<std::string, std::string>& metadata = {});

 private:
  struct Place {
    int64_t begin, bytes;
  };
  AtomicFile file_;
  std::string where_;
  std::map<std::string, Place> places_;
  int64_t missing_ = 0;
};

}  // namespace stamp
