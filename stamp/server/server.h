#pragma once
// A running server: model, engine, routes.
#include <functional>
#include <memory>

#include "stamp/pipelines/serving/serve_options.h"

namespace stamp {

class Server {
 public:
  /// Loads the model and listens. Throws as open_text_model(), BatchScheduler and HttpServer, and
  /// std::invalid_argument for limits out of range.
  explicit Server(const ServeOptions& options);
  /// Cancels what is in progress.
  ~Server();

  int port() const;
  /// "http://127.0.0.1:8000", model, recipe, limits: a few lines for people.
  std::string description() const;
  /// Refuses new work (status 503), lets what is running end within `seconds`, then cancels it.
  /// `hurry` is asked now and then and ends the wait. True when everything ended by itself.
  bool drain(double seconds, const std::function<bool()>& hurry = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stamp
