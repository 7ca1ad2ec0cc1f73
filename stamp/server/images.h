#pragma once
// /v1/images/generations: pictures, one request after the other, in a thread of their own.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "stamp/http/http_server.h"
#include "stamp/pipelines/image.h"
#include "stamp/server/api_error.h"
#include "stamp/server/metrics.h"

namespace stamp {

class ImageService {
 public:
  static constexpr const char* kRoute = "/v1/images/generations";

  /// `base`: pipeline, recipe, execution. Checks the pipeline's files; throws as plan_images(), and
  /// std::invalid_argument for recipes that need calibration.
  ImageService(std::string model_name, ImageOptions base, size_t max_queue, ServerMetrics& metrics);
  /// Drops what is in line; waits for the picture in progress.
  ~ImageService();

  const std::string& model_name() const { return model_name_; }
  /// Checks the request and puts it in line. Throws ApiError: 400, 404, and 429 when there is no
  /// room.
  void submit(const Json& body, const std::shared_ptr<HttpReply>& reply);

 private:
  struct Job {
    ImageOptions options;
    std::shared_ptr<HttpReply> reply;
    std::shared_ptr<std::atomic<bool>> cancelled;
  };
  void run();
  void draw(const Job& job);

  const std::string model_name_;
  const ImageOptions base_;
  const size_t max_queue_;
  ServerMetrics& metrics_;
  std::mutex guard_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace stamp
