#pragma once
// What `stamp serve` is told.
#include <filesystem>
#include <string>

#include "stamp/pipelines/serving/batch_scheduler.h"
#include "stamp/pipelines/text_model.h"

namespace stamp {

struct ServeOptions {
  TextModelOptions model;
  std::string model_name;               // empty: the name of the directory
  std::filesystem::path chat_template;  // empty: the model's
  std::filesystem::path images;         // a pipeline's directory; empty: no pictures
  Recipe image_recipe;
  std::string host = "127.0.0.1";
  int64_t port = 8000;                 // 0: any that is free
  std::filesystem::path api_key_file;  // a key per line; empty: see read_api_keys()
  SchedulerOptions scheduler;
  int64_t max_queue = 64;     // requests in line besides those computed together
  int64_t max_tokens = 4096;  // that one request may generate
  int64_t max_choices = 16;   // of one request
  int64_t max_body = int64_t{4} << 20;
  int64_t max_connections = 512;
  double read_timeout = 30;      // seconds for a request to arrive, and for an answer to leave
  double request_timeout = 600;  // seconds until an answer is complete
  double drain_timeout = 30;     // seconds that answers get after SIGTERM
};

}  // namespace stamp
