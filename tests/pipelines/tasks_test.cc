#include "stamp/pipelines/tasks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "tests/pipelines/tiny_model.h"

namespace stamp {
namespace {

class Tasks : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& content, const std::string& name = "task.jsonl") {
    std::ofstream(model.path() / name) << content;
    return model.path() / name;
  }
  TaskItem only_item(const std::string& line) {
    const Task task = load_task(file(line + "\n"));
    EXPECT_EQ(task.items.size(), 1u);
    return task.items[0];
  }
  std::string complaint(const std::string& content) {
    try {
      load_task(file(content));
      return "";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  }
  TinyModel model{"tasks"};
};

TEST_F(Tasks, ReadsArc) {
  const TaskItem item = only_item(
      R"({"id": "x", "question": "Why?", "choices": {"text": ["this", "that"], "label": ["1", "2"]}, "answerKey": "2"})");
  EXPECT_EQ(item.contexts, std::vector<std::string>{"Question: Why?\nAnswer:"});
  EXPECT_EQ(item.choices, (std::vector<std::string>{"this", "that"}));
  EXPECT_EQ(item.answer, 1);
}

TEST_F(Tasks, ReadsHellaswag) {
  const TaskItem item = only_item(
      R"({"activity_label": "Cooking", "ctx_a": "A man stirs [remark].", "ctx_b": "he THEN", "endings": [" eats [title] Done", "b  c", "c", "d"], "label": "3"})");
  EXPECT_EQ(item.contexts, std::vector<std::string>{"Cooking: A man stirs . He then"});
  EXPECT_EQ(item.choices[0], "eats. Done");
  EXPECT_EQ(item.choices[1], "b c");
  EXPECT_EQ(item.answer, 3);
}

/// lm-eval: replace(" [title]", ". "), re.sub("\\[.*?\\]", ""), replace("  ", " ").
TEST_F(Tasks, HellaswagTextsAreChangedOnceFromTheLeft) {
  const TaskItem item = only_item(
      R"({"activity_label": "a    b", "ctx_a": "[[x]y] [u", "ctx_b": "", "endings": [" [title [title]]", "a[b]  [c] d [title] e"], "label": 0})");
  EXPECT_EQ(item.contexts, std::vector<std::string>{"a  b: y] [u"});
  EXPECT_EQ(item.choices, (std::vector<std::string>{"", "a  d. e"}));
}

TEST_F(Tasks, LongLinesTakeLinearTime) {
  std::string line = R"({"activity_label": "a", "ctx_a": "b", "ctx_b": "c", "endings": ["d)";
  for (int i = 0; i < 520'000; ++i) line += "[]";
  line += "e\"], \"label\": 0}\n";
  std::string lines;
  for (int i = 0; i < 60; ++i) lines += line;
  EXPECT_EQ(load_task(file(lines)).items.back().choices[0], "de");
}

TEST_F(Tasks, ReadsPiqa) {
  const TaskItem item =
      only_item(R"({"goal": "Open it", "sol1": "pull", "sol2": "push", "label": 1})");
  EXPECT_EQ(item.contexts, std::vector<std::string>{"Question: Open it\nAnswer:"});
  EXPECT_EQ(item.choices, (std::vector<std::string>{"pull", "push"}));
  EXPECT_EQ(item.answer, 1);
}

TEST_F(Tasks, ReadsWinogrande) {
  const TaskItem item = only_item(
      R"({"sentence": "The cup fell off the table because _ was wet.", "option1": "the cup", "option2": "the table", "answer": "1"})");
  EXPECT_EQ(item.contexts,
            (std::vector<std::string>{"The cup fell off the table because the cup",
                                      "The cup fell off the table because the table"}));
  EXPECT_EQ(item.choices, std::vector<std::string>{"was wet."});
  EXPECT_EQ(item.answer, 0);
  EXPECT_FALSE(load_task(model.path() / "task.jsonl").normalises);
}

TEST_F(Tasks, NamesTheLineThatIsWrong) {
  const std::string good = R"({"context": "a", "choices": ["b", "c"], "answer": 0})";
  const char* bad[] = {"{",
                       "[]",
                       "{}",
                       R"({"context": "a", "choices": ["b"], "answer": 1})",
                       R"({"context": "a", "choices": ["b"], "answer": -1})",
                       R"({"context": "a", "choices": [], "answer": 0})",
                       R"({"context": "a", "choices": [1], "answer": 0})",
                       R"({"context": 1, "choices": ["b"], "answer": 0})",
                       R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 0})",
                       R"({"goal": "g", "sol1": "a", "label": 0})"};
  for (const char* line : bad)
    EXPECT_NE(complaint(good + "\n\n" + line + "\n").find("line 3"), std::string::npos) << line;
  EXPECT_NE(complaint("\n").find("no questions"), std::string::npos);
  // One less than this would overflow.
  EXPECT_NE(
      complaint(
          R"({"sentence": "a _", "option1": "b", "option2": "c", "answer": -9223372036854775808})")
          .find("expected a number from 0 to 64"),
      std::string::npos);
  EXPECT_NE(complaint(R"({"sentence": "no blank", "option1": "a", "option2": "b", "answer": "1"})")
                .find("expected one _"),
            std::string::npos);
  EXPECT_THROW(load_task(model.path() / "absent.jsonl"), std::runtime_error);
}

/// The chain rule: the probabilities of all one-letter continuations add up to one.
TEST_F(Tasks, LikelihoodsAreThoseOfTheModel) {
  const auto instance = make_model(ModelSource::open(model.path()));
  const Tokenizer tokenizer = Tokenizer::load(model.path());
  ForwardContext context;
  const TaskItem item{.contexts = {"some words "}, .choices = {"ab", "zz"}};
  const std::vector<double> found = choice_log_likelihoods(*instance, tokenizer, item, context);
  for (size_t c = 0; c < 2; ++c) {
    const std::vector<int32_t> ids = tokenizer.encode("some words  " + item.choices[c]);
    const size_t first = tokenizer.encode("some words").size();
    KvCache cache = instance->make_cache(64);
    const Matrix hidden = instance->forward(ids, cache, context);
    Matrix logits(hidden.rows(), instance->config().vocab_size);
    instance->logits(hidden.view(), logits.view(), context);
    double expected = 0;
    for (size_t t = first; t < ids.size(); ++t) {
      double sum = 0;
      for (int64_t v = 0; v < logits.cols(); ++v)
        sum += std::exp(double{logits(static_cast<int64_t>(t) - 1, v)});
      expected += logits(static_cast<int64_t>(t) - 1, ids[t]) - std::log(sum);
    }
    EXPECT_NEAR(found[c], expected, 1e-4);
  }
}

TEST_F(Tasks, LongQuestionsKeepTheirEnd) {
  const auto instance = make_model(ModelSource::open(model.path()));  // 256 positions
  const Tokenizer tokenizer = Tokenizer::load(model.path());
  ForwardContext context;
  const TaskItem item{.contexts = {std::string(1000, 'a')},
                      .choices = {"b", std::string(500, 'c')}};
  for (const double score : choice_log_likelihoods(*instance, tokenizer, item, context))
    EXPECT_TRUE(std::isfinite(score));
}

TEST_F(Tasks, ThePlainModelAgreesWithItself) {
  std::string lines;
  for (const char* context : {"one two", "three", "four five six"})
    lines += std::string(R"({"context": ")") + context +
             R"(", "choices": ["abc", "de", "fghi"], "answer": 1})" + "\n";
  const TaskOptions options{.model = model.path(), .tasks = {file(lines)}};
  const TaskEvaluation found = evaluate_tasks(options);
  ASSERT_EQ(found.tasks.size(), 1u);
  EXPECT_EQ(found.tasks[0].items, 3);
  EXPECT_EQ(found.tasks[0].agreement, 1);
  EXPECT_EQ(found.tasks[0].accuracy, found.tasks[0].reference_accuracy);
  EXPECT_NE(to_text(found).find("cloze"), std::string::npos);
  TaskOptions some = options;
  some.limit = 2;
  some.recipe = load_recipe("w4a8kv8");
  EXPECT_EQ(evaluate_tasks(some).tasks[0].items, 2);
}

}  // namespace
}  // namespace stamp
