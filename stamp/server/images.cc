#include "stamp/server/images.h"

#include <ctime>

#include "stamp/core/error.h"
#include "stamp/core/memory_reserve.h"
#include "stamp/core/team_thread.h"
#include "stamp/io/base64.h"
#include "stamp/pipelines/decode_image.h"
#include "stamp/server/image_request.h"

namespace stamp {

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
  thread_ = team_thread([this] { run(); });
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

void ImageService::submit(const Json& body, const std::shared_ptr<HttpReply>& reply) {
  ImageOptions options = read_image_request(body, model_name_, base_);
  try {
    plan_images(options);
  } catch (const std::invalid_argument& error) {
    throw ApiError(400, error.what(), "invalid_value");
  }
  Job job{.options = std::move(options),
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
      data.push_back({{"b64_json", base64(encode_png(to_picture(image.pixels)))},
                      {"simulated", image.simulated}});
    });
    body = dump({{"created", std::time(nullptr)}, {"data", std::move(data)}});
  } catch (const std::exception& error) {
    status = 500;
    body = dump(to_json(ApiError(500, error.what(), "failed")));
  }
  metrics_.count_answer(kRoute, status);
  job.reply->send({.status = status, .body = std::move(body)});
}

void ImageService::run() {
  while (true) {
    Job job;
    {
      std::unique_lock lock(guard_);
      changed_.wait(lock, [&] { return stop_ || !jobs_.empty(); });
      if (stop_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    try {
      if (!*job.cancelled) draw(job);
    } catch (const std::exception&) {  // no memory even for the error
    }
    renew_memory_reserve();
  }
}

}  // namespace stamp
