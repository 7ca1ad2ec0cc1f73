#include "stamp/server/server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <new>
#include <thread>

#include "stamp/core/error.h"
#include "stamp/core/process.h"
#include "stamp/server/api_keys.h"
#include "stamp/server/completion.h"
#include "stamp/server/images.h"
#include "stamp/server/openapi.h"
#include "stamp/server/page.h"
#include "stamp/server/request_fields.h"

namespace stamp {
namespace {

constexpr int kRetrySeconds = 1;
constexpr size_t kImageQueue = 4;

std::string name_of(const std::filesystem::path& directory) {
  return std::filesystem::absolute(directory / "x").lexically_normal().parent_path().filename();
}

bool is_loopback(const std::string& host) { return host.starts_with("127.") || host == "::1"; }

/// The name in a Host header, without its port.
std::string host_name(const std::string& header) {
  if (header.starts_with('[')) return header.substr(0, header.find(']') + 1);
  return header.substr(0, header.find(':'));
}

std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm time{};
  localtime_r(&now, &time);
  return time;
}

void check_limits(const ServeOptions& o) {
  const auto check = [](const char* name, double value, double lowest, double highest) {
    if (!(value >= lowest && value <= highest))
      throw_argument("serve: {}: expected {} to {}, got {}", name, lowest, highest, value);
  };
  check("port", static_cast<double>(o.port), 0, 65535);
  check("max_queue", static_cast<double>(o.max_queue), 0, 1 << 20);
  check("max_tokens", static_cast<double>(o.max_tokens), 1, 1 << 30);
  check("max_choices", static_cast<double>(o.max_choices), 1, 128);
  check("max_body", static_cast<double>(o.max_body), 1, 1 << 30);
  check("max_connections", static_cast<double>(o.max_connections), 1, 1 << 20);
  for (const auto& [name, value] :
       {std::pair("read_timeout", o.read_timeout), {"request_timeout", o.request_timeout}})
    check(name, value, 0.01, 1e6);
  check("drain_timeout", o.drain_timeout, 0, 1e6);
}

HttpOptions http_options(const ServeOptions& o) {
  return {.host = o.host,
          .port = static_cast<int>(o.port),
          .max_body = o.max_body,
          .max_connections = o.max_connections,
          .read_seconds = o.read_timeout,
          .write_seconds = o.read_timeout};
}

HttpResponse response_of(const ApiError& error) {
  HttpResponse response{.status = error.status, .body = dump(to_json(error))};
  if (error.status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer"});
  if (error.status == 429 || error.status == 503)
    response.headers.push_back({"Retry-After", std::to_string(kRetrySeconds)});
  return response;
}

}  // namespace

ServedModel open_served_model(const ServeOptions& options) {
  const std::filesystem::path& directory = options.model.model;
  ServedModel model{.name = options.model_name.empty() ? name_of(directory) : options.model_name,
                    .text = open_text_model(options.model),
                    .defaults = {},
                    .chat_template = {},
                    .created = std::time(nullptr),
                    .max_tokens = options.max_tokens,
                    .max_choices = options.max_choices};
  model.defaults = generate_defaults(model.text);
  const TokenizerConfig config = read_tokenizer_config(directory);
  if (!options.chat_template.empty())
    model.chat_template.emplace(read_text(options.chat_template), options.chat_template.string(),
                                config);
  else if (!config.chat_templates.empty())
    model.chat_template = ChatTemplate::load(directory);
  return model;
}

struct Server::Impl {
  ServeOptions options;
  std::vector<std::string> keys;
  ServedModel model;
  ServerMetrics metrics;
  std::atomic<bool> draining{false};
  std::unique_ptr<Engine> engine;
  std::unique_ptr<ImageService> images;
  std::unique_ptr<HttpServer> http;

  struct Route {
    const char *method, *path;
    bool open;  // needs no key
    void (Impl::*answer)(const HttpRequest&, const std::shared_ptr<HttpReply>&);
  };
  static constexpr size_t kRoutes = 8;
  static const std::array<Route, kRoutes>& routes() {
    static const std::array<Route, kRoutes> table = {{
        {"GET", "/", true, &Impl::page},
        {"GET", "/health", true, &Impl::health},
        {"GET", "/openapi.json", true, &Impl::describe},
        {"GET", "/metrics", false, &Impl::show_metrics},
        {"GET", "/v1/models", false, &Impl::list_models},
        {"POST", "/v1/completions", false, &Impl::complete},
        {"POST", "/v1/chat/completions", false, &Impl::chat},
        {"POST", ImageService::kRoute, false, &Impl::draw},
    }};
    return table;
  }

  explicit Impl(const ServeOptions& o)
      : options(o), keys(read_api_keys(o.api_key_file)), model(open_served_model(o)) {
    engine = std::make_unique<Engine>(*model.text.model, std::move(model.text.context), o.scheduler,
                                      o.max_queue);
    if (!o.images.empty())
      images = std::make_unique<ImageService>(name_of(o.images),
                                              ImageOptions{.pipeline = o.images,
                                                           .recipe = o.image_recipe,
                                                           .execution = o.model.execution,
                                                           .compute = o.model.compute},
                                              kImageQueue, metrics);
    http = std::make_unique<HttpServer>(
        http_options(o),
        [this](HttpRequest request, std::shared_ptr<HttpReply> reply) { handle(request, reply); },
        [this](int status, const std::string& message) {
          metrics.count_answer("none", status);
          return dump(to_json(ApiError(status, message)));
        });
  }

  ~Impl() {
    draining = true;
    http->stop_handling();  // then nothing new reaches the others
    images.reset();
    engine.reset();
    http.reset();
  }

  void handle(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
    const bool head = request.method == "HEAD";
    const Route* found = nullptr;
    std::string methods;
    for (const Route& route : routes())
      if (request.path == route.path &&
          (images || route.path != std::string(ImageService::kRoute))) {
        methods = route.method;
        if (request.method == route.method || (head && methods == "GET")) found = &route;
      }
    try {
      if (methods.empty())
        throw ApiError(404, fmt::format("there is nothing at '{}'", request.path));
      if (!found) {
        metrics.count_answer(request.path, 405);
        HttpResponse response = response_of(ApiError(405, "expected the method " + methods));
        response.headers.push_back({"Allow", methods == "GET" ? "GET, HEAD" : methods});
        return reply->send(std::move(response));
      }
      check_client(request, *found);
      (this->*found->answer)(request, reply);
    } catch (const ApiError& error) {
      metrics.count_answer(methods.empty() ? "none" : request.path, error.status);
      reply->send(response_of(error));
    } catch (const std::bad_alloc&) {
      reply->send(response_of(ApiError(500, "not enough memory", "failed")));
      metrics.count_answer(request.path, 500);
    } catch (const std::exception& error) {
      metrics.count_answer(request.path, 500);
      reply->send(response_of(ApiError(500, error.what(), "failed")));
    }
  }

  /// Other sites' pages in a browser of this machine must not get at a server without keys.
  void check_client(const HttpRequest& request, const Route& route) const {
    if (keys.empty() && is_loopback(options.host)) {
      const std::string name = host_name(request.host);
      const bool is_address = name.find_first_not_of("0123456789.") == std::string::npos;
      if (name != "localhost" && name != "[::1]" && !(is_address && is_loopback(name)))
        throw ApiError(403, fmt::format("'{}' is no name of this machine", name), "wrong_host");
    }
    if (!route.open && !keys.empty() && !is_authorized(request.authorization, keys))
      throw ApiError(401, "expected 'Authorization: Bearer KEY' with a key of this server",
                     "invalid_api_key");
  }

  void answer(const char* route, HttpResponse response, const std::shared_ptr<HttpReply>& reply) {
    metrics.count_answer(route, response.status);
    reply->send(std::move(response));
  }

  void page(const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
    answer("/", {.body = page_html(), .content_type = "text/html; charset=utf-8"}, reply);
  }

  void health(const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
    if (draining) throw ApiError(503, "the server is shutting down", "draining");
    answer("/health", {.body = R"({"status":"ok"})"}, reply);
  }

  void describe(const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
    const std::string image_model = images ? images->model_name() : "";
    answer("/openapi.json", {.body = dump(openapi(model, image_model, !keys.empty()))}, reply);
  }

  void show_metrics(const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
    answer("/metrics",
           {.body = metrics.text(engine->stats()),
            .content_type = "text/plain; version=0.0.4; charset=utf-8"},
           reply);
  }

  void list_models(const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
    const auto card = [&](const std::string& name, const std::string& recipe, const char* kind) {
      return Json{{"id", name},          {"object", "model"}, {"created", model.created},
                  {"owned_by", "stamp"}, {"recipe", recipe},  {"kind", kind}};
    };
    Json data = Json::array({card(model.name, model.text.recipe.name, "text")});
    data[0]["simulated"] = model.text.model->simulated();
    data[0]["chat"] = model.chat_template.has_value();
    data[0]["max_tokens"] = options.max_tokens;
    data[0]["context"] = model.text.model->config().max_positions;
    if (images) data.push_back(card(images->model_name(), options.image_recipe.name, "image"));
    answer("/v1/models", {.body = dump({{"object", "list"}, {"data", std::move(data)}})}, reply);
  }

  void check_body(const HttpRequest& request) const {
    if (draining) throw ApiError(503, "the server is shutting down", "draining");
    const std::string type = request.content_type.substr(0, request.content_type.find(';'));
    if (type != "application/json")
      throw ApiError(415, fmt::format("expected Content-Type: application/json, got '{}'", type));
  }

  void start(const HttpRequest& request, bool is_chat, const std::shared_ptr<HttpReply>& reply) {
    check_body(request);
    const CompletionServices services{model, *engine, metrics, options.request_timeout};
    if (!start_completion(
            read_completion(parse_request(request.body), is_chat, model, local_time()), services,
            reply))
      throw ApiError(429, "too many requests are in line; try again later", "queue_full");
  }
  void complete(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
    start(request, false, reply);
  }
  void chat(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
    start(request, true, reply);
  }

  void draw(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
    check_body(request);
    images->submit(parse_request(request.body), reply);
  }
};

Server::Server(const ServeOptions& options) {
  check_limits(options);
  impl_ = std::make_unique<Impl>(options);
}

Server::~Server() = default;

int Server::port() const { return impl_->http->port(); }

std::string Server::description() const {
  const Impl& s = *impl_;
  const std::string host = s.options.host.find(':') == std::string::npos
                               ? s.options.host
                               : fmt::format("[{}]", s.options.host);
  std::string text =
      fmt::format("http://{}:{}\nmodel {}, recipe {}{}\n", host, port(), s.model.name,
                  s.model.text.recipe.name, s.model.text.model->simulated() ? " (simulated)" : "");
  if (s.images) text += fmt::format("pictures by {}\n", s.images->model_name());
  if (!s.model.chat_template) text += "the model has no chat template: no /v1/chat/completions\n";
  if (s.keys.empty() && !is_loopback(s.options.host))
    text += "note: everybody who reaches this address may use the server; see --api-key-file\n";
  return text;
}

bool Server::drain(double seconds, const std::function<bool()>& hurry) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(seconds));
  impl_->draining = true;
  impl_->http->drain();
  while (impl_->http->busy() > 0 && Clock::now() < end && !(hurry && hurry()))
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const bool whole = impl_->http->busy() == 0;
  impl_->engine->cancel_all();
  // The last bytes leave with the answers that were cut short.
  const auto late = Clock::now() + std::chrono::seconds(whole ? 0 : 1);
  while (impl_->http->busy() > 0 && Clock::now() < late)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return whole;
}

}  // namespace stamp
