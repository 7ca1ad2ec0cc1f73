#include "stamp/server/images.h"

#include <cstdio>
#include <ctime>
#include <random>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/io/base64.h"
#include "stamp/pipelines/decode_image.h"
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

ImageService::ImageService(std::string model_name, ImageOptions base, size_t max_queue,
                           ServerMetrics& metrics)
    : model_name_(std::move(model_name)),
      base_(std::move(base)),
      max_queue_(max_queue),
      metrics_(metrics) {
  if (base_.recipe.needs_calibration() || base_.recipe.needs_weight_calibration())
    throw_argument("serve: the recipe {} needs calibration, which pictures get with 'stamp image'",
                   base_.recipe.name);
  ImageOptions probe = base_;
  probe.prompts = {"a"};
  plan_images(probe);
  thread_ = std::thread([this, count = threads()] { run(count); });
}

ImageService::~ImageService() {
  {
    const std::lock_guard lock(guard_);
    stop_ = true;
    for (const Job& job : jobs_)
      job.reply->send(
          {.status = 503, .body = dump(to_json(ApiError(503, "the server is shutting down")))});
    jobs_.clear();
  }
  changed_.notify_all();
  thread_.join();
}

ImageOptions ImageService::read(const Json& body) const {
  const RequestFields fields(body, "",
                             {"model", "prompt", "negative_prompt", "n", "size", "response_format",
                              "seed", "steps", "guidance", "user"});
  ImageOptions options = base_;
  const auto model = fields.text("model");
  if (model && *model != model_name_)
    throw ApiError(404, fmt::format("there is no image model '{}', only '{}'", *model, model_name_),
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
  try {
    plan_images(options);
  } catch (const std::invalid_argument& error) {
    throw ApiError(400, error.what(), "invalid_value");
  }
  return options;
}

void ImageService::submit(const Json& body, const std::shared_ptr<HttpReply>& reply) {
  Job job{.options = read(body),
          .reply = reply,
          .cancelled = std::make_shared<std::atomic<bool>>(false)};
  reply->on_close([cancelled = job.cancelled] { *cancelled = true; });
  {
    const std::lock_guard lock(guard_);
    if (jobs_.size() >= max_queue_)
      throw ApiError(429, "too many pictures are in line; try again later", "queue_full");
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void ImageService::draw(const Job& job) {
  Json data = Json::array();
  int status = 200;
  std::string body;
  try {
    generate_images(job.options, plan_images(job.options), [&](size_t, GeneratedImage& image) {
      data.push_back({{"b64_json", base64(encode_png(to_picture(image.pixels)))}});
    });
    body = dump({{"created", std::time(nullptr)}, {"data", std::move(data)}});
  } catch (const std::exception& error) {
    status = 500;
    body = dump(to_json(ApiError(500, error.what(), "failed")));
  }
  metrics_.count_answer(kRoute, status);
  job.reply->send({.status = status, .body = std::move(body)});
}

void ImageService::run(int thread_count) {
  set_threads(thread_count);
  while (true) {
    Job job;
    {
      std::unique_lock lock(guard_);
      changed_.wait(lock, [&] { return stop_ || !jobs_.empty(); });
      if (stop_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    if (!*job.cancelled) draw(job);
  }
}

}  // namespace stamp
