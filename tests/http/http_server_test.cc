// What any handler may rely on; tests/server/connections_test.cc has clients that misbehave.
#include "stamp/http/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/http/test_client.h"

namespace stamp {
namespace {

std::string error_body(int, const std::string& message) { return message; }

bool soon(const std::function<bool()>& holds) {
  for (int i = 0; i < 2000 && !holds(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return holds();
}

TEST(HttpServer, AnswersThatNobodyGivesEndTheConnection) {
  HttpServer server(
      {},
      [](const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
        if (request.path == "/half") {
          reply->begin({});
          reply->write("a");
        }
      },
      error_body);
  for (const char* path : {"/none", "/half"}) {
    TestClient client(server.port());
    client.send(request_text("GET", path));
    EXPECT_TRUE(client.ended()) << path;
  }
  EXPECT_TRUE(soon([&] { return server.busy() == 0; }));
}

TEST(HttpServer, WhatAHandlerThrowsIsAnError) {
  HttpServer server(
      {},
      [](const HttpRequest&, const std::shared_ptr<HttpReply>&) {
        throw std::runtime_error("no luck");
      },
      error_body);
  TestClient client(server.port());
  client.send(request_text("GET", "/"));
  const TestResponse response = client.read();
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body, "no luck");
}

TEST(HttpServer, AnswersComeFromAnyThreadToManyClients) {
  constexpr int kClients = 16, kRequests = 8;
  std::vector<std::thread> answering;
  std::mutex guard;
  HttpServer server(
      {},
      [&](const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
        const std::lock_guard lock(guard);
        answering.emplace_back([path = request.path, reply] {
          reply->begin({});
          for (const char c : path) reply->write(std::string(1000, c));
          reply->end();
        });
      },
      error_body);
  std::atomic<int> right{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i)
    clients.emplace_back([&, i] {
      TestClient client(server.port());
      for (int j = 0; j < kRequests; ++j) {
        const char name = static_cast<char>('a' + i);
        client.send(request_text("GET", std::string("/") + name));
        right += client.read().body == std::string(1000, '/') + std::string(1000, name);
      }
    });
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, kClients * kRequests);
  server.stop_handling();
  for (std::thread& thread : answering) thread.join();
}

TEST(HttpServer, TellsOnceThatAClientLeft) {
  std::atomic<int> left{0};
  std::shared_ptr<HttpReply> kept;
  std::mutex guard;
  {
    HttpServer server(
        {},
        [&](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
          reply->on_close([&] { ++left; });
          const std::lock_guard lock(guard);
          kept = reply;
        },
        error_body);
    {
      TestClient client(server.port());
      client.send(request_text("GET", "/"));
      EXPECT_TRUE(soon([&] { return server.busy() == 1; }));
    }
    EXPECT_TRUE(soon([&] { return left == 1; }));
    server.stop_handling();
    kept->send({});  // to nobody
    kept = nullptr;
  }
  EXPECT_EQ(left, 1);
}

TEST(HttpServer, DrainingGivesTheAnswersThatAreOwed) {
  std::shared_ptr<HttpReply> kept;
  HttpServer server(
      {}, [&](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) { kept = reply; },
      error_body);
  TestClient owed(server.port()), idle(server.port());
  owed.send(request_text("GET", "/"));
  EXPECT_TRUE(soon([&] { return server.busy() == 1; }));
  server.stop_handling();
  server.drain();
  kept->send({.body = "late"});
  kept = nullptr;
  EXPECT_EQ(owed.read().body, "late");
  EXPECT_TRUE(owed.ended());
  EXPECT_THROW(TestClient(server.port()), std::runtime_error);
}

}  // namespace
}  // namespace stamp
