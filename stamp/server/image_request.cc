#include "stamp/server/image_request.h"

#include <cstdio>
#include <random>

#include "stamp/server/request_fields.h"

namespace stamp {
namespace {

constexpr int64_t kMostPictures = 4, kMostSteps = 200;
constexpr size_t kLongestPrompt = 32000;  // bytes

/// "WIDTHxHEIGHT"; "auto": the model's own.
void read_size(const RequestFields& fields, ImageOptions& options) {
  const std::string text = fields.text("size").value_or("auto");
  if (text == "auto") return;
  int width = 0, height = 0, used = 0;
  if (std::sscanf(text.c_str(), "%5dx%5d%n", &width, &height, &used) != 2 ||
      used != static_cast<int>(text.size()) || width < 1 || height < 1)
    fields.reject("size", "expected 'WIDTHxHEIGHT' or 'auto'");
  options.width = width;
  options.height = height;
}

}  // namespace

ImageOptions read_image_request(const Json& body, const std::string& model_name,
                                const ImageOptions& defaults) {
  const RequestFields fields(body, "",
                             {"model", "prompt", "negative_prompt", "n", "size", "response_format",
                              "seed", "steps", "guidance", "user"});
  ImageOptions options = defaults;
  const auto model = fields.text("model");
  if (model && *model != model_name)
    throw ApiError(404, fmt::format("there is no image model '{}', only '{}'", *model, model_name),
                   "model_not_found", "model");
  const auto prompt = fields.text("prompt");
  if (!prompt) fields.missing("prompt");
  if (prompt->empty() || prompt->size() > kLongestPrompt)
    fields.reject("prompt", fmt::format("expected 1 to {} bytes", kLongestPrompt));
  options.prompts.assign(static_cast<size_t>(fields.integer("n", 1, kMostPictures).value_or(1)),
                         *prompt);
  options.negative_prompt = fields.text("negative_prompt").value_or("");
  options.seed =
      static_cast<uint64_t>(fields.integer("seed", 0, INT32_MAX)
                                .value_or(static_cast<int64_t>(std::random_device()() >> 1)));
  options.steps = fields.integer("steps", 1, kMostSteps).value_or(options.steps);
  options.guidance = fields.number("guidance", 0, 100).value_or(options.guidance);
  fields.choice("response_format", {"b64_json"});
  fields.text("user");
  read_size(fields, options);
  return options;
}

}  // namespace stamp
