#include "stamp/models/clip/clip_image_processor.h"

#include <algorithm>

#include "stamp/io/config_reader.h"
#include "stamp/io/picture_resize.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxSide = 4096;
constexpr int64_t kBicubic = 3;  // Pillow's number
constexpr std::array kMean = {0.48145466, 0.4578275, 0.40821073};
constexpr std::array kDeviation = {0.26862954, 0.26130258, 0.27577711};

void check_steps(const ConfigReader& config) {
  for (const char* step : {"do_resize", "do_center_crop", "do_rescale", "do_normalize"})
    if (!config.boolean(step).value_or(true)) config.reject(step, "supported is true");
  if (config.integer("resample", 0, 100).value_or(kBicubic) != kBicubic)
    config.reject("resample", "supported is 3 (bicubic)");
  for (const char* key : {"image_processor_type", "feature_extractor_type"}) {
    const std::string type = config.text(key).value_or("CLIP");
    if (!type.starts_with("CLIP")) config.reject(key, "supported is \"CLIPImageProcessor\"");
  }
}

/// A number, or an object whose `names` all have the same one.
int64_t read_side(const ConfigReader& config, const char* key,
                  std::initializer_list<const char*> names) {
  const Json* value = config.find(key);
  if (value == nullptr || !value->is_object())
    return config.integer(key, 1, kMaxSide).value_or(224);
  const ConfigReader sides = config.required(config.object(key), key);
  int64_t side = 0;
  for (const char* name : names) {
    const int64_t own = sides.required(sides.integer(name, 1, kMaxSide), name);
    if (side != 0 && own != side) config.reject(key, "supported are squares");
    side = own;
  }
  return side;
}

std::array<double, 3> read_channels(const ConfigReader& config, const char* key,
                                    std::array<double, 3> usual, double lowest) {
  const Json* list = config.find(key);
  if (list == nullptr) return usual;
  const bool three =
      list->is_array() && list->size() == 3 &&
      std::all_of(list->begin(), list->end(), [&](const Json& value) {
        return value.is_number() && value.get<double>() >= lowest && value.get<double>() <= 1e6;
      });
  if (!three) config.reject(key, fmt::format("expected three numbers in [{}, 1e6]", lowest));
  return {(*list)[0], (*list)[1], (*list)[2]};
}

ClipImageProcessor read_processor(const ConfigReader& config) {
  check_steps(config);
  ClipImageProcessor result{.short_side = read_side(config, "size", {"shortest_edge"}),
                            .crop_size = read_side(config, "crop_size", {"height", "width"}),
                            .rescale = config.number("rescale_factor", 0, 1e6).value_or(1.0 / 255),
                            .mean = read_channels(config, "image_mean", kMean, -1e6),
                            .deviation = read_channels(config, "image_std", kDeviation, 1e-6)};
  if (result.crop_size > result.short_side)
    config.reject("crop_size", fmt::format("expected at most size, {}", result.short_side));
  return result;
}

}  // namespace

PixelMap ClipImageProcessor::prepare(const Picture& picture) const {
  const int64_t shorter = std::min(picture.width, picture.height);
  const auto side = [&](int64_t size) {
    return size == shorter ? short_side : short_side * size / std::max<int64_t>(1, shorter);
  };
  const Picture small = resize_bicubic(picture, side(picture.width), side(picture.height));
  const Picture middle = crop(small, (small.width - crop_size) / 2, (small.height - crop_size) / 2,
                              crop_size, crop_size);
  PixelMap result(crop_size, crop_size, 3);
  for (int64_t i = 0; i < result.pixels.size(); ++i) {
    const auto c = static_cast<size_t>(i % 3);
    const auto value = static_cast<float>(middle.rgb[static_cast<size_t>(i)] * rescale);
    result.pixels.data()[i] =
        (value - static_cast<float>(mean[c])) / static_cast<float>(deviation[c]);
  }
  return result;
}

ClipImageProcessor read_clip_image_processor(const fs::path& directory) {
  std::error_code ignored;
  const fs::path file = directory / "preprocessor_config.json",
                 joint = directory / "processor_config.json";
  if (fs::exists(file, ignored) || !fs::exists(joint, ignored)) {
    const Json json = read_json(file);
    return read_processor(ConfigReader(json, file.string()));
  }
  const Json json = read_json(joint);
  const ConfigReader config(json, joint.string());
  return read_processor(config.required(config.object("image_processor"), "image_processor"));
}

}  // namespace stamp
