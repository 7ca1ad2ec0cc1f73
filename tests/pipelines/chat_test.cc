#include "stamp/pipelines/chat.h"

#include <gtest/gtest.h>

namespace stamp {
namespace {

const std::filesystem::path kModel = std::filesystem::path(STAMP_SOURCE_DIR) / "demo/llm";
constexpr const char* kPlain =
    "{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}";

class ChatTest : public testing::Test {
 protected:
  Chat chat(const std::string& source, ChatOptions options = {}) {
    chat_template.emplace(source, "template", read_tokenizer_config(kModel));
    if (options.generate.max_new_tokens == 128) options.generate.max_new_tokens = 6;
    options.capacity = std::min<int64_t>(options.capacity, 512);
    return Chat(model(), tokenizer, *chat_template, options, context);
  }
  static const Model& model() {
    static const auto instance = make_model(ModelSource::open(kModel));
    return *instance;
  }

  Tokenizer tokenizer = Tokenizer::load(kModel);
  std::optional<ChatTemplate> chat_template;
  ForwardContext context;
};

TEST_F(ChatTest, ComputesOnlyWhatIsNew) {
  Chat talk = chat(kPlain);
  const ChatAnswer first = talk.ask("What does the scheduler of a kernel do?");
  EXPECT_EQ(first.kept, 0);
  EXPECT_EQ(first.prefilled,
            std::ssize(tokenizer.encode("<|begin_of_text|>user:What does the scheduler of a "
                                        "kernel do?\nassistant:",
                                        false)));
  EXPECT_EQ(first.generated, 6);
  const ChatAnswer second = talk.ask("Why?");
  EXPECT_EQ(second.kept, first.prefilled + first.generated - 1);
  EXPECT_EQ(second.prefilled, 1 + std::ssize(tokenizer.encode("\nuser:Why?\nassistant:", false)));
}

TEST_F(ChatTest, StreamsTheAnswer) {
  std::string streamed;
  const ChatAnswer answer =
      chat(kPlain).ask("Say something", [&](std::string_view text) { streamed += text; });
  EXPECT_FALSE(answer.text.empty());
  EXPECT_EQ(streamed, answer.text);
}

TEST_F(ChatTest, AnswersDependOnThePastUntilReset) {
  Chat talk = chat(kPlain);
  const std::string alone = talk.ask("The file is").text;
  const std::string later = talk.ask("The file is").text;
  talk.reset();
  EXPECT_EQ(talk.ask("The file is").text, alone);
  EXPECT_EQ(talk.ask("The file is").text, later);
}

TEST_F(ChatTest, TemplatesMayRewriteThePast) {
  Chat talk = chat("{{ bos_token }}{{ messages[-1].content }}:");
  const ChatAnswer first = talk.ask("The file is");
  const ChatAnswer again = talk.ask("The file is");
  EXPECT_EQ(again.kept, 0);
  EXPECT_EQ(again.prefilled, first.prefilled);
  EXPECT_EQ(again.text, first.text);
}

TEST_F(ChatTest, StopIdsEndAnswersAndAreNoPartOfThem) {
  const std::string text = "The file is";
  const std::vector<int32_t> prompt =
      tokenizer.encode("<|begin_of_text|>user:" + text + "\nassistant:", false);
  const auto ids = generate_ids(model(), prompt, {.max_new_tokens = 3}, context);
  ChatOptions options;
  options.generate.stop_ids = {ids[0]};
  const ChatAnswer answer = chat(kPlain, options).ask(text);
  EXPECT_TRUE(answer.stopped);
  EXPECT_EQ(answer.generated, 1);
}

TEST_F(ChatTest, AFullConversationIsAnErrorThatChangesNothing) {
  ChatOptions options;
  options.capacity = 40;
  Chat talk = chat(kPlain, options);
  const ChatAnswer first = talk.ask("Hello");
  std::string longer;
  for (int i = 0; i < 40; ++i) longer += " and";
  EXPECT_THROW(talk.ask(longer), std::invalid_argument);
  EXPECT_EQ(talk.ask("Go").kept, first.prefilled + first.generated - 1);
}

TEST_F(ChatTest, SystemMessageComesFirst) {
  ChatOptions options;
  options.system = "Be brief.";
  Chat talk = chat("{{ raise_exception(messages[0].role ~ ': ' ~ messages[0].content) }}", options);
  for (int i = 0; i < 2; ++i) {
    try {
      talk.ask("Hello");
      FAIL() << "expected an error";
    } catch (const std::runtime_error& error) {
      EXPECT_NE(std::string(error.what()).find("system: Be brief."), std::string::npos);
    }
  }
  EXPECT_THROW(chat("{# nothing #}").ask("Hello"), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
