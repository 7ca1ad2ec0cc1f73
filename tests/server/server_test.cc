// Routes, keys, the page, metrics and pictures.
#include "stamp/server/server.h"

#include <fstream>

#include "stamp/server/page.h"
#include "tests/server/test_server.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;

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
  EXPECT_EQ(data[0]["simulated"], false);
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
