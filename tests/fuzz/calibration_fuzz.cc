// Calibrated statistics beside stored weights (safetensors): what is accepted is finite and gives
// tensors again.
#include <algorithm>
#include <cmath>

#include "stamp/models/calibration_file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input_files.h"

namespace {

using namespace stamp;

void use(const Calibration& calibration) {
  for (const auto& [name, tensor] : calibration_tensors(calibration)) {
    if (tensor.dtype != DType::kF32) continue;
    const float* const values = tensor.as<float>();
    fuzz::require(
        std::all_of(values, values + tensor.size(), [](float x) { return std::isfinite(x); }),
        "statistics that are not finite");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto& folder = fuzz::folder_of(fuzz::text_of(data, size), {kCalibrationFile});
  fuzz::accepted([&] { use(read_calibration(folder / kCalibrationFile)); });
  return 0;
}
