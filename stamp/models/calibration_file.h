#pragma once
// Calibrated statistics beside stored weights, as a safetensors file: F32 vectors "SITE.range2",
// "SITE.mean" where the site is centered, and what its feature transform is made of: "SITE.scale",
// "SITE.left" and "SITE.right" (square matrices), "SITE.clip", "SITE.weight_clip".
#include <filesystem>
#include <map>
#include <string>

#include "stamp/core/tensor.h"
#include "stamp/quant/calibration.h"

namespace stamp {

inline constexpr const char* kCalibrationFile = "stamp_calibration.safetensors";

/// The tensors of such a file, as views.
std::map<std::string, TensorView> calibration_tensors(const Calibration& calibration);
void write_calibration(const std::filesystem::path& file, const Calibration& calibration);
/// Throws std::runtime_error for tensors of other names, types and shapes, and for numbers that are
/// not finite or, in range2, negative; in scale, zero; in clips, not in (0, 1]. Means of sites that
/// are not centered are not kept.
Calibration read_calibration(const std::filesystem::path& file);

}  // namespace stamp
