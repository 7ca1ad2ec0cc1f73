#pragma once
// What passes through a model while it runs, under the names that oracles use.
#include <map>

#include "stamp/io/safetensors.h"
#include "stamp/nn/linear.h"
#include "stamp/nn/pixel_map.h"
#include "stamp/pipelines/verify_checks.h"

namespace stamp {

/// Values by name; those of several runs (the samples of a batch) one after another.
class Recorder : public Observer {
 public:
  /// "layers.3" becomes "layer_3_out", "blocks.3" "block_3_out", "blocks.3.ff" "block_3_ff".
  void on_hidden(const std::string& name, ConstFloatView x) override;
  void add(const std::string& name, ConstFloatView x);
  const std::map<std::string, std::vector<float>>& values() const { return values_; }

 private:
  std::map<std::string, std::vector<float>> values_;
};

/// Values of a tensor as models hold them: [samples, channels, height, width] becomes pixel by
/// pixel, everything else stays.
std::vector<float> pixel_major(const TensorView& tensor);
/// One sample of [samples, channels, height, width]. Throws std::runtime_error for another rank.
PixelMap read_map(const TensorView& tensor, int64_t sample);
/// One sample of [samples, rows, cols], F32.
Matrix read_rows(const TensorView& tensor, int64_t sample);
/// One sample of a mask [samples, tokens].
std::vector<uint8_t> read_mask(const TensorView& tensor, int64_t sample);
/// Every recorded value that `oracle` has a tensor for.
void check_recorded(const Recorder& recorder, const Safetensors& oracle, VerifyCase& result);

}  // namespace stamp
