#pragma once
// What a diffusion transformer's linears see while calibration prompts are drawn.
#include "stamp/pipelines/image.h"

namespace stamp {

/// One input of linears, pooled over steps, prompts and both halves of guidance.
struct SiteInputs {
  std::vector<float> peaks;  // largest magnitude of every channel
  Matrix rows;               // about a thousand tokens
};
/// Keyed by site: "blocks.0.attn1_in", "blocks.0.ff_down_in", ...
using ImageInputs = std::map<std::string, SiteInputs>;

/// True for the inputs that recipes quantize.
bool is_image_site(const std::string& site);
/// Draws options.prompts with the plain transformer, not decoded, `observer` watching.
void observe_images(const ImageOptions& options, const ImagePlan& plan, Observer& observer);
/// Throws as generate_images().
ImageInputs gather_image_inputs(const ImageOptions& options, const ImagePlan& plan);

/// A safetensors file with "SITE.peaks" and "SITE.rows".
void write_image_inputs(const std::filesystem::path& file, const ImageInputs& inputs);
/// Throws std::runtime_error for tensors of other names, types or shapes.
ImageInputs read_image_inputs(const std::filesystem::path& file);

}  // namespace stamp
