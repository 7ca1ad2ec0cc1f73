// Texts and conversations as clients see them, over real sockets.
#include "tests/server/test_server.h"

namespace stamp {
namespace {

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
  EXPECT_EQ(text, whole["choices"][0]["text"].get<std::string>());
  EXPECT_EQ(finish, whole["choices"][0]["finish_reason"].get<std::string>());
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
  EXPECT_EQ(text, message["content"].get<std::string>());
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

}  // namespace
}  // namespace stamp
