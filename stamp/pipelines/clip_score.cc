#include "stamp/pipelines/clip_score.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/models/clip/clip.h"
#include "stamp/text/tokenizer.h"

namespace stamp {
namespace {

constexpr double kLogitScale = 100;  // of both metrics, whatever the file's logit_scale says
constexpr const char* kGood = "Good photo.";
constexpr const char* kBad = "Bad photo.";

double cosine(std::span<const float> a, std::span<const float> b) {
  double product = 0, square_a = 0, square_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    product += double{a[i]} * b[i];
    square_a += double{a[i]} * a[i];
    square_b += double{b[i]} * b[i];
  }
  return product / std::sqrt(square_a * square_b);
}

void check_parts(const ClipFiles& files, const Tokenizer& tokenizer,
                 const ClipImageProcessor& processor, const std::string& directory) {
  if (processor.crop_size != files.config.image_size)
    throw_runtime("{}: preprocessor_config.json makes {} pixels a side, config.json expects {}",
                  directory, processor.crop_size, files.config.image_size);
  if (tokenizer.size() > files.config.vocab_size)
    throw_runtime("{}: the tokenizer has {} tokens, config.json's vocab_size is {}", directory,
                  tokenizer.size(), files.config.vocab_size);
  check_finite_weights(*files.component);
  ClipVisionTower{files};  // whether its tensors are there
}

}  // namespace

ClipScore mean_clip_score(std::span<const ClipScore> scores) {
  if (scores.empty()) return {std::nan(""), std::nan("")};
  ClipScore mean;
  for (const ClipScore& own : scores) {
    mean.score += own.score / static_cast<double>(scores.size());
    mean.iqa += own.iqa / static_cast<double>(scores.size());
  }
  mean.score = std::max(0.0, mean.score);
  return mean;
}

ClipScorer::ClipScorer(std::filesystem::path directory, const std::vector<std::string>& prompts)
    : directory_(std::move(directory)) {
  const ClipFiles files(directory_);
  const Tokenizer tokenizer = Tokenizer::load(directory_);
  processor_ = read_clip_image_processor(directory_);
  check_parts(files, tokenizer, processor_, directory_.string());
  const ClipTextTower tower(files);
  ForwardContext context;
  const auto most = static_cast<size_t>(files.config.max_tokens);
  const auto embed = [&](const std::string& text) {
    const std::vector<int32_t> ids = tokenizer.encode(text);
    return tower.embed(std::span(ids).first(std::min(ids.size(), most)), context);
  };
  for (const std::string& prompt : prompts) {
    if (interrupted()) throw_runtime("interrupted");
    if (tokenizer.encode(prompt).size() > most) ++cut_prompts_;
    prompts_.push_back(embed(prompt));
  }
  good_ = embed(kGood);
  bad_ = embed(kBad);
}

std::vector<ClipScore> ClipScorer::score(std::span<const Picture> pictures) const {
  if (pictures.size() != prompts_.size())
    throw_argument("CLIP: {} pictures for {} prompts", pictures.size(), prompts_.size());
  const ClipVisionTower tower{ClipFiles(directory_)};
  ForwardContext context;
  Progress progress("CLIP", std::ssize(pictures), "images");
  std::vector<ClipScore> scores;
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (interrupted()) throw_runtime("interrupted");
    const std::vector<float> image = tower.embed(processor_.prepare(pictures[i]), context);
    const double odds = std::exp(kLogitScale * (cosine(image, bad_) - cosine(image, good_)));
    scores.push_back({kLogitScale * cosine(image, prompts_[i]), 1 / (1 + odds)});
    progress.advance(1);
  }
  return scores;
}

}  // namespace stamp
