#pragma once
// A server of the bundled model, and what tests ask it.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include "stamp/pipelines/options/serve.h"
#include "stamp/server/server.h"
#include "tests/http/test_client.h"

namespace stamp {

inline const std::filesystem::path kSource = STAMP_SOURCE_DIR;

inline ServeOptions options_for_tests() {
  ServeOptions options = default_options<ServeOptions>();
  options.model.model = kSource / "demo/llm";
  options.chat_template = kSource / "tests/data/chat/plain.jinja";
  options.model_name = "demo";
  options.port = 0;
  complete_options(options);
  return options;
}

class ServerTest : public testing::Test {
 protected:
  Server& start(const ServeOptions& options = options_for_tests()) {
    return server.emplace(options);
  }
  TestResponse ask(const std::string& text) const {
    TestClient client(server->port());
    client.send(text);
    return client.read();
  }
  TestResponse get(const std::string& path) const { return ask(request_text("GET", path)); }
  TestResponse post(const std::string& path, const Json& body,
                    const std::string& headers = "") const {
    return ask(request_text("POST", path, body.dump(), headers));
  }
  TestResponse complete(Json body) const {
    body["model"] = "demo";
    return post("/v1/completions", body);
  }
  TestResponse chat(Json body) const {
    body["model"] = "demo";
    return post("/v1/chat/completions", body);
  }
  /// A client that gets a stream which lasts.
  std::unique_ptr<TestClient> talk(int64_t tokens = 1500) const {
    auto client = std::make_unique<TestClient>(server->port());
    const Json body = {
        {"model", "demo"}, {"prompt", "The kernel"}, {"max_tokens", tokens}, {"temperature", 1},
        {"seed", 1},       {"stream", true}};
    client->send(request_text("POST", "/v1/completions", body.dump()));
    EXPECT_TRUE(client->wait_for("data: "));
    return client;
  }
  int64_t metric(const std::string& name) const {
    const std::string text = "\n" + get("/metrics").body;
    const size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stoll(text.substr(at + name.size() + 2));
  }
  bool becomes(const std::string& name, int64_t value) const {
    for (int i = 0; i < 1000; ++i) {
      if (metric(name) == value) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }

  std::optional<Server> server;
};

}  // namespace stamp
