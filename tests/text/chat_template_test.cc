#include "stamp/text/chat_template.h"

#include <gtest/gtest.h>

#include "tests/io/test_files.h"

namespace stamp {
namespace {

/// A model directory of the test with these files.
class ChatTemplateFiles : public testing::Test {
 protected:
  void write(const char* name, const std::string& text) { folder.write(name, text); }
  std::string load_error() {
    return runtime_error_of([&] { ChatTemplate::load(folder.path()); });
  }
  std::string render(std::vector<ChatMessage> messages = {{"user", "Hi"}}) {
    return ChatTemplate::load(folder.path()).render(messages, true, {});
  }

  TempDirectory folder;
};

TEST_F(ChatTemplateFiles, TextOfTheConfig) {
  write("tokenizer_config.json",
        R"({"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false},
            "chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"})");
  EXPECT_EQ(render(), "<s>Hi</s>");
}

TEST_F(ChatTemplateFiles, DefaultOfNamedTemplates) {
  write("tokenizer_config.json", R"({"chat_template": [{"name": "tool_use", "template": "tools"},
                                                        {"name": "default", "template": "plain"}]})");
  EXPECT_EQ(render(), "plain");
  write("tokenizer_config.json",
        R"({"chat_template": [{"name": "tool_use", "template": "tools"}]})");
  EXPECT_NE(load_error().find("'tool_use'"), std::string::npos);
}

TEST_F(ChatTemplateFiles, AFileOfItsOwnGoesFirst) {
  write("tokenizer_config.json", R"({"chat_template": "config"})");
  write("chat_template.jinja", "file: {{ messages | length }}{{ tools is none }}\n");
  EXPECT_EQ(render(), "file: 1True");
}

TEST_F(ChatTemplateFiles, MissingTemplateIsExplained) {
  EXPECT_NE(load_error().find("stamp generate"), std::string::npos);
  write("tokenizer_config.json", R"({"bos_token": null, "chat_template": null})");
  EXPECT_NE(load_error().find("expected a chat template"), std::string::npos);
}

TEST_F(ChatTemplateFiles, BrokenFilesNameTheKey) {
  for (const auto& [text, part] :
       {std::pair(R"({"chat_template": 5})", "chat_template"),
        std::pair(R"({"chat_template": [{"name": "default"}]})", "template"),
        std::pair(R"({"chat_template": "{{ }}"})", "line 1"),
        std::pair(R"({"eos_token": [1]})", "eos_token"),
        std::pair(R"({"add_bos_token": "yes"})", "add_bos_token"),
        std::pair(R"({"added_tokens_decoder": {"-1": {"content": "x"}}})", "-1"),
        std::pair(R"({"added_tokens_decoder": {"7x": {"content": "x"}}})", "7x"),
        std::pair(R"({"added_tokens_decoder": {"7": {}}})", "content")}) {
    write("tokenizer_config.json", text);
    EXPECT_NE(load_error().find(part), std::string::npos) << text << ": " << load_error();
  }
}

TEST_F(ChatTemplateFiles, RefusalsNameTemplateAndLine) {
  write("chat_template.jinja",
        "{% if messages|length > 1 %}\n{{ raise_exception('one!') }}{% endif %}");
  EXPECT_EQ(render(), "");
  EXPECT_NE(runtime_error_of([&] {
              render({{"user", "a"}, {"assistant", "b"}});
            }).find("chat_template: line 2: the template refuses: one!"),
            std::string::npos);
}

}  // namespace
}  // namespace stamp
