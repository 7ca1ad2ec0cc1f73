#pragma once
// A safetensors file of random weights, planned tensor by tensor and written in pieces.
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/quant/recipe.h"

namespace stamp {

/// Values have the variance 1 / (product of all sizes but the first). Memory stays at a few MB.
class SyntheticFile {
 public:
  /// Random bf16 of any shape.
  void add_tensor(const std::string& name, const Shape& shape);
  void add_plain(const std::string& name, int64_t out_dim, int64_t in_dim) {
    add_tensor(name, {out_dim, in_dim});
  }
  /// The same value everywhere.
  void add_vector(const std::string& name, int64_t size, float value);
  /// NAME.weight, or random codes as `stamp quantize` stores them where `spec` quantizes. Throws
  /// std::invalid_argument for rows that do not fill whole words.
  void add_weight(const std::string& name, const WeightSpec& spec, int64_t out_dim, int64_t in_dim);
  void write(const std::filesystem::path& file) const;

 private:
  /// What fills a tensor: words drawn from `mask` over `fixed`.
  struct Fill {
    uint64_t mask = 0, fixed = 0;
  };
  void add(const std::string& name, const TensorView& tensor, const Fill& fill);
  void add_stored(const std::string& name, const WeightSpec& spec, int64_t out_dim, int64_t in_dim);

  std::map<std::string, TensorView> tensors_;
  std::map<std::string, Fill> fills_;
  std::map<std::string, std::vector<int64_t>> shapes_;
};

}  // namespace stamp
