#pragma once
// Calibrated statistics beside stored weights, as a safetensors file: F32 vectors "SITE.range2",
// and "SITE.mean" where the site is centered.
#include <filesystem>

#include "stamp/quant/calibration.h"

namespace stamp {

inline constexpr const char* kCalibrationFile = "stamp_calibration.safetensors";

void write_calibration(const std::filesystem::path& file, const Calibration& calibration);
/// Throws std::runtime_error for tensors of other names, types and shapes, and for numbers that are
/// not finite or, in range2, negative. Means of sites that are not centered are not kept.
Calibration read_calibration(const std::filesystem::path& file);

}  // namespace stamp
