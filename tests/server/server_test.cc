// The server as clients see it, over real sockets.
#include "stamp/server/server.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <fstream>
#include <optional>
#include <set>
#include <thread>

#include "stamp/pipelines/options/serve.h"
#include "stamp/server/page.h"
#include "tests/server/test_client.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = STAMP_SOURCE_DIR;

ServeOptions options_for_tests() {
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

TEST_F(ServerTest, CompletesAsGenerateDoes) {
  const ServeOptions options = options_for_tests();
  start(options);
  const TestResponse response =
      complete({{"prompt", "The kernel"}, {"max_tokens", 20}, {"temperature", 0}});
  ASSERT_EQ(response.status, 200) << response.body;
  const Json json = response.json();
  TextModel text = open_text_model(options.model);
  const std::vector<int32_t> prompt = text.tokenizer.encode("The kernel");
  GenerateOptions generate = generate_defaults(text);
  generate.sampling.temperature = 0;
  generate.max_new_tokens = 20;
  const auto ids = generate_ids(*text.model, prompt, generate, text.context);
  EXPECT_EQ(json["choices"][0]["text"], text.tokenizer.decode(ids, true));
  EXPECT_EQ(json["choices"][0]["finish_reason"], ids.size() == 20 ? "length" : "stop");
  EXPECT_EQ(json["choices"][0]["logprobs"], nullptr);
  EXPECT_EQ(json["usage"]["prompt_tokens"], prompt.size());
  EXPECT_EQ(json["usage"]["completion_tokens"], ids.size());
  EXPECT_EQ(json["usage"]["total_tokens"], prompt.size() + ids.size());
  EXPECT_EQ(json["object"], "text_completion");
  EXPECT_EQ(json["model"], "demo");
}

TEST_F(ServerTest, StreamsTheSameText) {
  start();
  Json body = {{"prompt", "The kernel"}, {"max_tokens", 40}, {"temperature", 1}, {"seed", 7}};
  const Json whole = complete(body).json();
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  const TestResponse response = complete(body);
  EXPECT_EQ(response.headers.at("content-type"), "text/event-stream");
  const auto events = response.events();
  ASSERT_GT(events.size(), 5u);
  EXPECT_EQ(events.back(), "[DONE]");
  std::string text, finish;
  for (size_t i = 0; i + 2 < events.size(); ++i) {
    const Json event = Json::parse(events[i]);
    text += event["choices"][0]["text"].get<std::string>();
    if (!event["choices"][0]["finish_reason"].is_null())
      finish = event["choices"][0]["finish_reason"];
    EXPECT_EQ(event["usage"], nullptr);
  }
  EXPECT_EQ(text, whole["choices"][0]["text"]);
  EXPECT_EQ(finish, whole["choices"][0]["finish_reason"]);
  const Json last = Json::parse(events[events.size() - 2]);
  EXPECT_EQ(last["choices"], Json::array());
  EXPECT_EQ(last["usage"]["total_tokens"], whole["usage"]["total_tokens"]);
}

TEST_F(ServerTest, Chats) {
  start();
  Json body = {{"messages", {{{"role", "user"}, {"content", "Hello"}}}},
               {"max_completion_tokens", 12},
               {"temperature", 0}};
  const TestResponse response = chat(body);
  ASSERT_EQ(response.status, 200) << response.body;
  const Json json = response.json();
  EXPECT_EQ(json["object"], "chat.completion");
  const Json message = json["choices"][0]["message"];
  EXPECT_EQ(message["role"], "assistant");
  EXPECT_FALSE(message["content"].get<std::string>().empty());
  body["messages"][0]["content"] = {{{"type", "text"}, {"text", "Hel"}},
                                    {{"type", "text"}, {"text", "lo"}}};
  EXPECT_EQ(chat(body).json()["choices"][0]["message"], message);
  body["stream"] = true;
  std::string text, role;
  const auto events = chat(body).events();
  for (size_t i = 0; i + 1 < events.size(); ++i) {
    const Json delta = Json::parse(events[i])["choices"][0]["delta"];
    role += delta.value("role", "");
    text += delta.value("content", "");
  }
  EXPECT_EQ(role, "assistant");
  EXPECT_EQ(text, message["content"]);
}

TEST_F(ServerTest, StopStringsCutTheText) {
  start();
  Json body = {{"prompt", "The kernel"}, {"max_tokens", 40}, {"temperature", 1}, {"seed", 7}};
  const std::string text = complete(body).json()["choices"][0]["text"];
  const size_t space = text.find(' ', 10);
  ASSERT_NE(space, std::string::npos);
  const std::string stop = text.substr(space, 3);
  body["stop"] = {"never seen", stop};
  const Json choice = complete(body).json()["choices"][0];
  EXPECT_EQ(choice["text"], text.substr(0, text.find(stop)));
  EXPECT_EQ(choice["finish_reason"], "stop");
}

TEST_F(ServerTest, GivesSeveralChoicesAndPrompts) {
  start();
  Json body = {{"prompt", "The kernel"}, {"max_tokens", 8}, {"temperature", 1}, {"seed", 5}};
  const Json one = complete(body).json();
  body["n"] = 3;
  const Json three = complete(body).json();
  ASSERT_EQ(three["choices"].size(), 3u);
  EXPECT_EQ(three["choices"][0]["text"], one["choices"][0]["text"]);
  EXPECT_NE(three["choices"][1]["text"], one["choices"][0]["text"]);
  EXPECT_EQ(three["usage"]["prompt_tokens"], one["usage"]["prompt_tokens"]);
  body["n"] = 1;
  body["prompt"] = {"The kernel", "A chair"};
  const Json prompts = complete(body).json();
  ASSERT_EQ(prompts["choices"].size(), 2u);
  EXPECT_EQ(prompts["choices"][0]["text"], one["choices"][0]["text"]);
  body["prompt"] = {1, 2, 3};
  EXPECT_EQ(complete(body).json()["usage"]["prompt_tokens"], 3);
}

TEST_F(ServerTest, ReportsProbabilities) {
  start();
  const Json body = {
      {"prompt", "The kernel"}, {"max_tokens", 4}, {"temperature", 0}, {"logprobs", 2}};
  const Json old = complete(body).json()["choices"][0]["logprobs"];
  EXPECT_EQ(old["tokens"].size(), 4u);
  EXPECT_EQ(old["text_offset"][0], 0);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_LE(old["token_logprobs"][i].get<double>(), 0);
    EXPECT_EQ(old["top_logprobs"][i].size(), 2u);
  }
  const Json current = chat({{"messages", {{{"role", "user"}, {"content", "Hi"}}}},
                             {"max_tokens", 3},
                             {"temperature", 0},
                             {"logprobs", true},
                             {"top_logprobs", 3}})
                           .json()["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(current.size(), 3u);
  EXPECT_EQ(current[0]["top_logprobs"].size(), 3u);
  EXPECT_EQ(current[0]["top_logprobs"][0]["token"], current[0]["token"]);  // greedy
  EXPECT_TRUE(current[0]["bytes"].is_array());
}

TEST_F(ServerTest, ReusesPrefixes) {
  start();
  std::string prompt;
  for (int i = 0; i < 400; ++i) prompt += "word " + std::to_string(i) + " ";
  const Json body = {{"prompt", prompt}, {"max_tokens", 5}, {"temperature", 0}};
  const Json first = complete(body).json(), second = complete(body).json();
  EXPECT_EQ(first["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
  EXPECT_GE(second["usage"]["prompt_tokens_details"]["cached_tokens"], 256);
  EXPECT_EQ(first["choices"], second["choices"]);
}

struct Wrong {
  const char *body, *code, *param;
  int status = 400;
};

TEST_F(ServerTest, RefusesWrongRequests) {
  start();
  const std::string path = "/v1/completions";
  for (const Wrong& wrong : std::initializer_list<Wrong>{
           {"", "invalid_json", nullptr},
           {"{", "invalid_json", nullptr},
           {"{\"model\":NaN}", "invalid_json", nullptr},
           {"{\"model\":\"demo\",\"prompt\":\"\xff\"}", "invalid_json", nullptr},
           {"{\"model\":\"demo\",\"prompt\":\"\\ud800\"}", "invalid_json", nullptr},
           {"{\"model\":\"demo\",\"model\":\"demo\"}", "invalid_json", nullptr},
           {"[]", nullptr, nullptr},
           {R"({"prompt":"a"})", "missing_parameter", "model"},
           {R"({"model":"demo"})", "missing_parameter", "prompt"},
           {R"({"model":"other","prompt":"a"})", "model_not_found", "model", 404},
           {R"({"model":"demo","prompt":7})", "invalid_value", "prompt"},
           {R"({"model":"demo","prompt":""})", "invalid_value", "prompt"},
           {R"({"model":"demo","prompt":["a",""]})", "invalid_value", "prompt"},
           {R"({"model":"demo","prompt":"a","max_tokens":1.5})", "invalid_value", "max_tokens"},
           {R"({"model":"demo","prompt":[]})", "invalid_value", "prompt"},
           {R"({"model":"demo","prompt":[-1]})", "invalid_value", "prompt"},
           {R"({"model":"demo","prompt":[99999999]})", "invalid_value", "prompt"},
           {R"({"model":"demo","prompt":["a",{}]})", "invalid_value", "prompt"},
           {R"({"model":"demo","prompt":"a","max_tokens":0})", "invalid_value", "max_tokens"},
           {R"({"model":"demo","prompt":"a","max_tokens":1e300})", "invalid_value", "max_tokens"},
           {R"({"model":"demo","prompt":"a","temperature":"hot"})", "invalid_value", "temperature"},
           {R"({"model":"demo","prompt":"a","temperature":3})", "invalid_value", "temperature"},
           {R"({"model":"demo","prompt":"a","top_p":-1})", "invalid_value", "top_p"},
           {R"({"model":"demo","prompt":"a","stop":[""]})", "invalid_value", "stop"},
           {R"({"model":"demo","prompt":"a","stop":["a","b","c","d","e"]})", "invalid_value",
            "stop"},
           {R"({"model":"demo","prompt":"a","n":1000})", "invalid_value", "n"},
           {R"({"model":"demo","prompt":"a","stream":1})", "invalid_value", "stream"},
           {R"({"model":"demo","prompt":"a","presence_penalty":1})", "invalid_value",
            "presence_penalty"},
           {R"({"model":"demo","prompt":"a","tools":[]})", "unknown_parameter", "tools"},
           {R"({"model":"demo","prompt":"a","stream_options":{"x":1}})", "unknown_parameter",
            "stream_options.x"},
       }) {
    const TestResponse response = ask(
        request_text("POST", path, wrong.body,
                     *wrong.body ? "" : "Content-Type: application/json\r\nContent-Length: 0\r\n"));
    ASSERT_EQ(response.status, wrong.status) << wrong.body << "\n" << response.body;
    const Json error = response.error();
    EXPECT_EQ(error["code"], wrong.code ? Json(wrong.code) : Json()) << wrong.body;
    EXPECT_EQ(error["param"], wrong.param ? Json(wrong.param) : error["param"]) << wrong.body;
    EXPECT_EQ(error["type"], "invalid_request_error");
    EXPECT_FALSE(error["message"].get<std::string>().empty());
  }
  std::string long_prompt;
  for (int i = 0; i < 20000; ++i) long_prompt += "word ";
  EXPECT_EQ(complete({{"prompt", long_prompt}}).error()["code"], "context_length_exceeded");
}

TEST_F(ServerTest, TakesWholeNumbersForIntegers) {
  start();
  const TestResponse response = complete({{"prompt", {1.0, 2.0}}, {"max_tokens", 2.0}, {"n", 1.0}});
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.json()["usage"]["prompt_tokens"], 2);
}

TEST_F(ServerTest, RefusesWrongConversations) {
  start();
  const auto code = [&](Json messages) {
    const TestResponse response = chat({{"messages", std::move(messages)}});
    EXPECT_EQ(response.status, 400) << response.body;
    return response.error()["param"].get<std::string>();
  };
  EXPECT_EQ(code("Hello"), "messages");
  EXPECT_EQ(code(Json::array()), "messages");
  EXPECT_EQ(code({{{"role", "user"}}}), "messages[0].content");
  EXPECT_EQ(code({{{"role", "king"}, {"content", "x"}}}), "messages[0].role");
  EXPECT_EQ(code({{{"content", "x"}}}), "messages[0].role");
  EXPECT_EQ(code({{{"role", "user"}, {"content", 5}}}), "messages[0].content");
  EXPECT_EQ(code({{{"role", "user"}, {"content", Json::array()}}}), "messages[0].content");
  EXPECT_EQ(code({{{"role", "user"}, {"content", {{{"type", "image_url"}}}}}}), "content.type");
}

TEST_F(ServerTest, WithoutATemplateThereIsNoChat) {
  ServeOptions options = options_for_tests();
  options.chat_template.clear();
  start(options);
  EXPECT_EQ(chat({{"messages", {{{"role", "user"}, {"content", "x"}}}}}).error()["code"],
            "no_chat_template");
}

TEST_F(ServerTest, KnowsItsRoutes) {
  start();
  EXPECT_EQ(get("/nowhere").status, 404);
  EXPECT_EQ(get("/v1/images/generations").status, 404);
  const TestResponse wrong = get("/v1/completions");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "POST");
  EXPECT_EQ(ask(request_text("DELETE", "/health")).status, 405);
  EXPECT_EQ(get("/health?x=1").json()["status"], "ok");
  const Json card = get("/v1/models").json()["data"][0];
  EXPECT_EQ(card["id"], "demo");
  EXPECT_EQ(card["max_tokens"], options_for_tests().max_tokens);
  EXPECT_EQ(get("/").body, page_html());
  TestClient client(server->port());
  client.send(request_text("HEAD", "/health") + request_text("GET", "/health"));
  EXPECT_TRUE(client.wait_for("{\"status\":\"ok\"}"));
  EXPECT_EQ(ask("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
                "Content-Length: 2\r\n\r\n{}")
                .status,
            415);
}

TEST_F(ServerTest, ThePageFetchesNothingFromElsewhere) {
  for (const char* word : {"http://", "https://", "//cdn", "@import", "src=\""})
    EXPECT_EQ(page_html().find(word), std::string::npos) << word;
}

TEST_F(ServerTest, AsksForKeys) {
  const fs::path file = fs::temp_directory_path() / ("stamp_keys_" + std::to_string(::getpid()));
  std::ofstream(file) << "first-key\n  second-key \n\n";
  ServeOptions options = options_for_tests();
  options.api_key_file = file;
  start(options);
  fs::remove(file);
  const Json body = {{"model", "demo"}, {"prompt", "a"}, {"max_tokens", 1}};
  for (const char* header :
       {"", "Authorization: Bearer wrong\r\n", "Authorization: Bearer \r\n",
        "Authorization: first-key\r\n", "Authorization: Bearer first-ke\r\n"}) {
    const TestResponse response = post("/v1/completions", body, header);
    EXPECT_EQ(response.status, 401) << header;
    EXPECT_EQ(response.error()["code"], "invalid_api_key");
  }
  EXPECT_EQ(post("/v1/completions", body, "Authorization: Bearer second-key\r\n").status, 200);
  EXPECT_EQ(get("/v1/models").status, 401);
  EXPECT_EQ(get("/metrics").status, 401);
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_TRUE(get("/openapi.json").json().contains("security"));
}

TEST_F(ServerTest, PagesOfOtherSitesGetNothing) {
  start();
  const auto status = [&](const std::string& host) {
    return ask("GET /v1/models HTTP/1.1\r\nHost: " + host + "\r\n\r\n").status;
  };
  EXPECT_EQ(status("evil.example"), 403);
  EXPECT_EQ(status("127.0.0.1.evil.example"), 403);
  EXPECT_EQ(status("127.0.0.1:8000"), 200);
  EXPECT_EQ(status("[::1]:8000"), 200);
}

TEST_F(ServerTest, RefusesWhatIsTooLargeOrNoHttp) {
  ServeOptions options = options_for_tests();
  options.max_body = 1000;
  start(options);
  const TestResponse large = complete({{"prompt", std::string(2000, 'a')}});
  EXPECT_EQ(large.status, 413);
  EXPECT_EQ(large.error()["type"], "invalid_request_error");
  const std::string chunks = "400\r\n" + std::string(1024, 'a') + "\r\n0\r\n\r\n";
  EXPECT_EQ(ask("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
                "chunked\r\n\r\n" +
                chunks)
                .status,
            413);
  EXPECT_EQ(
      ask("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20000, 'x') + "\r\n\r\n").status,
      431);
  EXPECT_EQ(ask("this is not HTTP\r\n\r\n").status, 400);
  TestClient client(server->port());
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
      "99999999999999999999\r\n\r\n");
  EXPECT_EQ(client.read().status / 100, 4);
  EXPECT_EQ(get("/health").status, 200);
}

TEST_F(ServerTest, KeepsConnectionsAndTellsClientsToContinue) {
  start();
  TestClient client(server->port());
  const std::string body = R"({"model":"demo","prompt":"a","max_tokens":2})";
  for (int i = 0; i < 3; ++i) {
    client.send(request_text("POST", "/v1/completions", body));
    EXPECT_EQ(client.read().status, 200);
  }
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Expect: 100-continue\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n");
  EXPECT_EQ(client.read().status, 100);
  client.send(body);
  EXPECT_EQ(client.read().status, 200);
  client.send("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.read().headers.at("connection"), "close");
  EXPECT_TRUE(client.ended());
}

TEST_F(ServerTest, RefusesWhatDoesNotFitInLine) {
  ServeOptions options = options_for_tests();
  options.scheduler.max_sequences = 1;
  options.max_queue = 0;
  start(options);
  const auto talking = talk();
  const TestResponse refused = complete({{"prompt", "a"}});
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  EXPECT_EQ(refused.error()["type"], "rate_limit_error");
  EXPECT_EQ(get("/health").status, 200);
}

TEST_F(ServerTest, AnswersManyAtOnce) {
  start();
  std::vector<std::thread> clients;
  std::vector<std::string> texts(12);
  for (size_t i = 0; i < texts.size(); ++i)
    clients.emplace_back([&, i] {
      texts[i] = complete({{"prompt", "The kernel"}, {"max_tokens", 30}, {"temperature", 0}})
                     .json()["choices"][0]["text"];
    });
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(std::set<std::string>(texts.begin(), texts.end()).size(), 1u);
}

TEST_F(ServerTest, ClientsThatLeaveStopTheirWork) {
  start();
  auto streaming = talk();
  auto waiting = std::make_unique<TestClient>(server->port());
  waiting->send(request_text(
      "POST", "/v1/completions",
      R"({"model":"demo","prompt":"The kernel","max_tokens":1900,"temperature":1,"seed":1})"));
  EXPECT_TRUE(becomes("stamp_sequences_running", 2));
  streaming.reset();
  waiting.reset();
  EXPECT_TRUE(becomes("stamp_sequences_running", 0));
  EXPECT_EQ(metric("stamp_cache_bytes"), 0);
  EXPECT_LT(metric("stamp_generated_tokens_total"), 3400);
}

TEST_F(ServerTest, ClientsThatLeaveBehindALaterRequestStopTheirWork) {
  start();
  const std::string request = request_text(
      "POST", "/v1/completions",
      R"({"model":"demo","prompt":"The kernel","max_tokens":1900,"temperature":1,"seed":1})");
  auto waiting = std::make_unique<TestClient>(server->port());
  waiting->send(request + request_text("GET", "/health"));
  EXPECT_TRUE(becomes("stamp_sequences_running", 1));
  waiting->send("\r\n");
  waiting.reset();
  EXPECT_TRUE(becomes("stamp_sequences_running", 0));
  EXPECT_LT(metric("stamp_generated_tokens_total"), 1900);
}

/// As many files as there may be, until the end of the scope.
class NoFilesLeft {
 public:
  NoFilesLeft() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit few = before_;
    few.rlim_cur = 64;
    ::setrlimit(RLIMIT_NOFILE, &few);
    for (int file; (file = ::dup(STDOUT_FILENO)) >= 0;) files_.push_back(file);
  }
  ~NoFilesLeft() {
    while (!files_.empty()) free_one();
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  void free_one() {
    ASSERT_FALSE(files_.empty());
    ::close(files_.back());
    files_.pop_back();
  }

 private:
  rlimit before_{};
  std::vector<int> files_;
};

TEST_F(ServerTest, WithoutFilesForMoreTheSlowestMakesRoom) {
  ServeOptions options = options_for_tests();
  options.read_timeout = 1000;
  start(options);
  TestClient slow(server->port());
  slow.send("POST /v1/completions HTTP/1.1\r\nHost: local");
  TestClient other(server->port());
  other.send(request_text("GET", "/health"));
  EXPECT_EQ(other.read().status, 200);  // slow was accepted before
  NoFilesLeft files;
  files.free_one();  // the next client's, but none is left for the server's end
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_TRUE(slow.ended());
}

TEST_F(ServerTest, SlowClientsHoldUpNobody) {
  ServeOptions options = options_for_tests();
  options.max_connections = 8;
  start(options);
  std::vector<std::unique_ptr<TestClient>> slow;
  for (int i = 0; i < 20; ++i) {
    slow.push_back(std::make_unique<TestClient>(server->port()));
    slow.back()->send("POST /v1/completions HTTP/1.1\r\nHost: local");
    EXPECT_EQ(get("/health").status, 200);
  }
  EXPECT_TRUE(slow.front()->ended());  // the oldest made room
}

TEST_F(ServerTest, RequestsMustArriveInTime) {
  ServeOptions options = options_for_tests();
  options.read_timeout = 0.2;
  start(options);
  TestClient header(server->port()), body(server->port());
  header.send("POST /v1/comp");
  body.send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{");
  EXPECT_TRUE(header.ended());
  EXPECT_TRUE(body.ended());
}

TEST_F(ServerTest, AnswersMustBeCompleteInTime) {
  ServeOptions options = options_for_tests();
  options.request_timeout = 0.05;
  start(options);
  const TestResponse response =
      complete({{"prompt", "The kernel"}, {"max_tokens", 1900}, {"temperature", 1}, {"seed", 1}});
  EXPECT_EQ(response.status, 504);
  EXPECT_EQ(response.error()["code"], "timeout");
}

TEST_F(ServerTest, DrainsWhatIsRunning) {
  start();
  TestClient idle(server->port());
  idle.send(request_text("GET", "/health"));
  EXPECT_EQ(idle.read().status, 200);
  auto client = talk(60);
  const int port = server->port();
  EXPECT_TRUE(server->drain(60));
  EXPECT_TRUE(client->wait_for("[DONE]"));
  EXPECT_TRUE(client->ended());
  EXPECT_TRUE(idle.ended());
  EXPECT_THROW(TestClient{port}, std::runtime_error);
}

TEST_F(ServerTest, DrainingEndsInTime) {
  start();
  auto client = talk();
  EXPECT_FALSE(server->drain(0.05));
  EXPECT_TRUE(client->wait_for("the server is shutting down"));
  EXPECT_TRUE(client->ended());
}

void check_references(const Json& json, const Json& root) {
  if (json.is_object() && json.contains("$ref")) {
    const std::string pointer = json["$ref"].get<std::string>().substr(1);
    EXPECT_TRUE(root.contains(Json::json_pointer(pointer))) << pointer;
  }
  for (const Json& item : json)
    if (item.is_structured()) check_references(item, root);
}

TEST_F(ServerTest, DescribesItself) {
  start();
  const Json api = get("/openapi.json").json();
  EXPECT_EQ(api["openapi"], "3.1.0");
  for (const char* path :
       {"/health", "/metrics", "/v1/models", "/v1/completions", "/v1/chat/completions"})
    EXPECT_TRUE(api["paths"].contains(path)) << path;
  EXPECT_FALSE(api["paths"].contains("/v1/images/generations"));
  check_references(api, api);
}

TEST_F(ServerTest, CountsWhatHappens) {
  start();
  complete({{"prompt", "a"}, {"max_tokens", 3}, {"temperature", 0}});
  complete({{"prompt", 5}});
  const std::string text = get("/metrics").body;
  EXPECT_NE(text.find("stamp_answers_total{route=\"/v1/completions\",status=\"200\"} 1\n"),
            std::string::npos);
  EXPECT_NE(text.find("stamp_answers_total{route=\"/v1/completions\",status=\"400\"} 1\n"),
            std::string::npos);
  EXPECT_NE(text.find("stamp_first_token_seconds_count 1\n"), std::string::npos);
  EXPECT_GT(metric("stamp_generated_tokens_total"), 0);
  EXPECT_GT(metric("stamp_resident_bytes"), 1 << 20);
  EXPECT_LT(metric("stamp_resident_bytes"), int64_t{1} << 32);
}

TEST_F(ServerTest, Draws) {
  ServeOptions options = options_for_tests();
  options.images = kSource / "tests/data/oracles/pipe/pixart_words/ckpt";
  start(options);
  Json body = {{"prompt", "a red ball"}, {"size", "16x24"}, {"steps", 2}, {"seed", 3}, {"n", 2}};
  const TestResponse response = post("/v1/images/generations", body);
  ASSERT_EQ(response.status, 200) << response.body;
  const Json data = response.json()["data"];
  ASSERT_EQ(data.size(), 2u);
  EXPECT_TRUE(data[0]["b64_json"].get<std::string>().starts_with("iVBORw0KGgo"));
  EXPECT_NE(data[0], data[1]);
  body["n"] = 1;
  EXPECT_EQ(post("/v1/images/generations", body).json()["data"][0], data[0]);
  for (const auto& [key, value] : std::map<std::string, Json>{{"size", "big"},
                                                              {"size", "1x99999"},
                                                              {"response_format", "url"},
                                                              {"steps", 0},
                                                              {"prompt", ""},
                                                              {"quality", "hd"}}) {
    Json wrong = body;
    wrong[key] = value;
    EXPECT_EQ(post("/v1/images/generations", wrong).status, 400) << key;
  }
  body["model"] = "other";
  EXPECT_EQ(post("/v1/images/generations", body).status, 404);
  const Json models = get("/v1/models").json()["data"];
  EXPECT_EQ(models[1]["kind"], "image");
}

TEST_F(ServerTest, ChecksItsOptions) {
  ServeOptions options = options_for_tests();
  options.host = "no address";
  EXPECT_THROW(start(options), std::runtime_error);
  options = options_for_tests();
  options.port = 70000;
  EXPECT_THROW(start(options), std::invalid_argument);
  options = options_for_tests();
  options.scheduler.prefill_chunk = 1;
  EXPECT_THROW(start(options), std::invalid_argument);
  options = options_for_tests();
  options.api_key_file = "/nowhere";
  EXPECT_THROW(start(options), std::runtime_error);
}

}  // namespace
}  // namespace stamp
