#pragma once
// Writing one file of a directory with stored weights, block of rows by block of rows.
#include <filesystem>

#include "stamp/core/progress.h"
#include "stamp/pipelines/quantize_plan.h"

namespace stamp {

/// Elements of a weight that are widened, rotated and quantized at a time.
inline constexpr int64_t kQuantizeBlock = int64_t{1} << 23;

/// A progress bar in whole megabytes of the source.
class ByteProgress {
 public:
  explicit ByteProgress(int64_t bytes) : progress_("quantize", bytes / 1'000'000, "MB") {}
  /// Throws std::runtime_error after interrupted().
  void advance(int64_t bytes);

 private:
  Progress progress_;
  int64_t done_ = 0;
};

/// Writes `shard` into `folder`, atomically; weights that `codes` does not have are rounded to
/// nearest. Throws std::runtime_error after interrupted().
void write_shard(const OutputShard& shard, const std::filesystem::path& folder,
                 ByteProgress& progress, const WeightCodes& codes = {});
/// The codes in a file that write_shard() made of a shard.
WeightCodes read_codes(const OutputShard& shard, const std::filesystem::path& folder);

}  // namespace stamp
