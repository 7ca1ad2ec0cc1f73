#pragma once
// The options of generate_images() and compare_images(); see core/options.h.
#include "stamp/pipelines/image_compare.h"
#include "stamp/pipelines/options/values.h"

namespace stamp {

/// Those that both have.
template <class Visitor>
void visit_drawing_options(ImageOptions& o, Visitor&& visit) {
  visit.argument("pipeline", o.pipeline, "diffusers directory of a PixArt or SANA pipeline");
  visit("prompts", o.prompts, "what to draw");
  visit("negative_prompt", o.negative_prompt, "what to stay away from");
  visit("instruction", o.instruction, "text to put before the prompt (SANA)");
  visit("steps", o.steps, "denoising steps");
  visit("guidance", o.guidance, "classifier-free guidance; at most 1: none");
  visit("seed", o.seed, "of the first prompt; the next ones count on");
  visit("width", o.width, "pixels; 0: the model's own");
  visit("height", o.height, "pixels; 0: the model's own");
  visit("tile", o.tile,
        "decode in tiles of so many latents a side: less memory, nearly the same image");
  visit("max_tokens", o.max_tokens, "text tokens");
  visit("compute", compute_values(o.compute), "what unquantized products are computed in");
  visit("execution", execution_values(o.execution),
        "quantized products on integers where the recipe allows, or simulated in fp32");
}
template <class Visitor>
void visit_options(ImageOptions& o, Visitor&& visit) {
  visit_drawing_options(o, visit);
  visit("recipe", o.recipe, "preset or JSON file; default: bf16, nothing quantized");
  visit("preview", o.preview, "steps from one preview to the next; 0: none");
}
/// Those of how images are compared that the command line does not share with text.
template <class Visitor>
void visit_scoring_options(ImageCompareOptions& o, Visitor&& visit) {
  visit("teacher_prompts", o.teacher_prompts,
        "prompts also measured step by step on the reference's latents");
  visit("clip", o.clip,
        "CLIP directory: also CLIP score and CLIP-IQA, of the unquantized model's images, too");
}
template <class Visitor>
void visit_options(ImageCompareOptions& o, Visitor&& visit) {
  visit_drawing_options(o.image, visit);
  visit("recipes", o.recipes, "presets or recipe files; default: the grid of the next four");
  visit("feature", o.grid.features, "feature transforms");
  visit("weights", o.grid.weights, "weight widths");
  visit("activations", o.grid.activations, "activation widths");
  visit("high_tokens", o.grid.high_tokens, "rows at 8 bits in two_level");
  visit("cache", o.cache,
        "folder that keeps calibrations and finished rows, so that an interrupted run continues");
  visit("pictures", o.pictures, "prompts whose pictures the report shows");
  visit("calibration_prompts", o.calibration_prompts,
        "prompts to calibrate recipes with, other ones than are drawn");
  visit_scoring_options(o, visit);
}

}  // namespace stamp
