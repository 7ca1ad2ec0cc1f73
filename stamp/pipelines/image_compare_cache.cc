#include "stamp/pipelines/image_compare_cache.h"

#include <cmath>

#include "stamp/core/error.h"
#include "stamp/io/atomic_file.h"
#include "stamp/io/sha256.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;

struct ScoreField {
  const char* name;
  double ImageScore::*value;
};
constexpr ScoreField kScores[] = {{"sqnr", &ImageScore::sqnr},
                                  {"sqnr_unit", &ImageScore::sqnr_unit},
                                  {"sqnr_latents", &ImageScore::sqnr_latents},
                                  {"psnr", &ImageScore::psnr},
                                  {"ssim", &ImageScore::ssim}};

struct ClipField {
  const char* name;
  double ClipScore::*value;
};
constexpr ClipField kClipScores[] = {{"clip_score", &ClipScore::score},
                                     {"clip_iqa", &ClipScore::iqa}};

/// JSON has no infinities; a perfect score is null.
Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
double number_of(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::infinity() : json.get<double>();
}

fs::path picture_file(const fs::path& stem, size_t index) {
  return stem.string() + fmt::format("-{}.png", index + 1);
}

}  // namespace

Json measured_json(const ImageCompareRow& row) {
  Json scores = Json::array(), steps = Json::array(), layers = Json::object();
  for (size_t i = 0; i < row.scores.size(); ++i) {
    Json json = Json::object();
    for (const ScoreField& field : kScores) json[field.name] = finite(row.scores[i].*field.value);
    if (i < row.clip.size())
      for (const ClipField& field : kClipScores) json[field.name] = row.clip[i].*field.value;
    scores.push_back(std::move(json));
  }
  for (const double value : row.step_sqnr) steps.push_back(finite(value));
  for (const auto& [name, value] : row.layer_sqnr) layers[name] = finite(value);
  return {{"bits", row.bits},           {"bits_with_scales", row.bits_with_scales},
          {"simulated", row.simulated}, {"seconds_per_step", row.seconds_per_step},
          {"scores", scores},           {"step_sqnr", steps},
          {"layer_sqnr", layers}};
}

void take_measured(const Json& json, ImageCompareRow& row) {
  try {
    row.bits = json.at("bits");
    row.bits_with_scales = json.at("bits_with_scales");
    row.simulated = json.at("simulated");
    row.seconds_per_step = json.at("seconds_per_step");
    for (const Json& score : json.at("scores")) {
      for (row.scores.emplace_back(); const ScoreField& field : kScores)
        row.scores.back().*field.value = number_of(score.at(field.name));
      if (!score.contains(kClipScores[0].name)) continue;
      for (row.clip.emplace_back(); const ClipField& field : kClipScores)
        row.clip.back().*field.value = score.at(field.name).get<double>();
    }
    for (const Json& value : json.at("step_sqnr")) row.step_sqnr.push_back(number_of(value));
    for (const auto& [name, value] : json.at("layer_sqnr").items())
      row.layer_sqnr[name] = number_of(value);
  } catch (const Json::exception& error) {
    throw_runtime("row of an image comparison: {}", error.what());
  }
}

ImageRowCache::ImageRowCache(fs::path folder, const Json& identity)
    : folder_(std::move(folder)), identity_(identity.dump()) {
  if (!folder_.empty()) make_folders(folder_);
}

fs::path ImageRowCache::stem(const ImageCompareRow& row) const {
  return folder_ /
         fmt::format("row-{}", sha256(identity_ + to_json(row.recipe).dump()).substr(0, 16));
}

bool ImageRowCache::find(ImageCompareRow& row) const {
  if (folder_.empty()) return false;
  const fs::path file = stem(row).string() + ".json";
  if (!fs::exists(file)) return false;
  const Json json = read_json(file);
  take_measured(json, row);
  for (size_t i = 0; i < json.at("pictures").get<size_t>(); ++i)
    row.pictures.push_back(read_png(picture_file(stem(row), i)));
  return true;
}

void ImageRowCache::keep(const ImageCompareRow& row) const {
  if (folder_.empty()) return;
  Json json = measured_json(row);
  json["label"] = row.label;
  json["pictures"] = row.pictures.size();
  for (size_t i = 0; i < row.pictures.size(); ++i)
    write_picture(picture_file(stem(row), i), row.pictures[i]);
  write_file_atomically(stem(row).string() + ".json", json.dump(1) + "\n");
}

}  // namespace stamp
