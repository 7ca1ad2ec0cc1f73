#pragma once
// The safetensors container: u64 header length, JSON header, raw row-major data.
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "stamp/io/tensor_store.h"

namespace stamp {

/// Named tensors of one file, or of the shards of a model directory, memory-mapped. Files are
/// hostile until checked: header length and syntax, dtypes, shapes that overflow, offsets outside
/// the file, overlapping or misaligned ranges, sizes that do not match shapes, duplicate names,
/// shard names that leave the directory, missing shards and tensors each throw std::runtime_error
/// naming file, tensor and reason.
class Safetensors : public TensorStore {
 public:
  Safetensors() = default;
  /// One file.
  static Safetensors open(const std::filesystem::path& file);
  /// `model.safetensors`, or the shards listed by `model.safetensors.index.json` (`stem` for
  /// diffusers directories: "diffusion_pytorch_model").
  static Safetensors open_model(const std::filesystem::path& directory,
                                const std::string& stem = "model");
  /// Texts of the "__metadata__" of one file; empty for several.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  explicit Safetensors(const std::filesystem::path& source) : TensorStore(source) {}
  void add_file(const std::filesystem::path& file, const std::vector<std::string>* expected);

  std::map<std::string, std::string> metadata_;
};

/// Writes `tensors` (sorted by name) atomically; `metadata` becomes "__metadata__".
void write_safetensors(const std::filesystem::path& file,
                       const std::map<std::string, TensorView>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace stamp
