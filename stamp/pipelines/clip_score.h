#pragma once
// How well images fit their prompts, and how good they look, by CLIP: torchmetrics' CLIPScore and
// CLIPImageQualityAssessment with the prompts "quality".
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "stamp/io/image_file.h"
#include "stamp/io/json.h"
#include "stamp/models/clip/clip_config.h"
#include "stamp/models/clip/clip_image_processor.h"

namespace stamp {

/// Figures of one image.
struct ClipScore {
  double score = 0;  // 100 cos of image and prompt, not yet clamped
  double iqa = 0;    // probability of "Good photo." against "Bad photo.", logits 100 cos
};
/// Means over images; as torchmetrics has it, the mean score is what is clamped at 0. NaN for none.
ClipScore mean_clip_score(std::span<const ClipScore> scores);

class ClipScorer {
 public:
  /// Reads DIR (config.json, model.safetensors, tokenizer, preprocessor_config.json), checks all of
  /// it, embeds the prompts and drops the model. A prompt of more tokens than the model takes is
  /// cut behind them, as torchmetrics does it: without its end, so that the first token's state
  /// stands for it, which says nothing. Throws std::runtime_error naming file and value for what is
  /// missing or broken, not finite, or does not fit together.
  ClipScorer(std::filesystem::path directory, const std::vector<std::string>& prompts);

  /// Of picture i and prompt i; maps the model meanwhile. Throws std::invalid_argument for another
  /// number of pictures than of prompts, std::runtime_error when interrupted().
  std::vector<ClipScore> score(std::span<const Picture> pictures) const;
  /// How many prompts were cut.
  int64_t cut_prompts() const { return cut_prompts_; }

 private:
  std::filesystem::path directory_;
  ClipImageProcessor processor_;
  int64_t cut_prompts_ = 0;
  std::vector<std::vector<float>> prompts_;  // embeddings
  std::vector<float> good_, bad_;
};

}  // namespace stamp
