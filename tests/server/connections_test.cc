// Clients that are many, slow, in the way or gone.
#include <sys/resource.h>

#include <set>

#include "tests/server/test_server.h"

namespace stamp {
namespace {

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

}  // namespace
}  // namespace stamp
