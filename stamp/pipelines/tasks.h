#pragma once
// Multiple choice ranked by likelihood, with the prompts and normalisations of lm-eval.
#include <algorithm>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "stamp/models/model.h"
#include "stamp/text/tokenizer.h"

namespace stamp {

/// One question: the answer is the choice whose continuation is likeliest after its context.
struct TaskItem {
  std::vector<std::string> contexts;  // one for all choices, or one each
  std::vector<std::string> choices;  // continuations, without the space before them; or one for all
  int64_t answer = 0;

  int64_t count() const { return static_cast<int64_t>(std::max(contexts.size(), choices.size())); }
};
struct Task {
  std::string name, layout;
  std::vector<TaskItem> items;
  bool normalises = true;  // false: all choices share one continuation
};

/// A JSONL file, one question a line, in the layout of its keys:
///   arc         question, choices {text, label}, answerKey
///   hellaswag   activity_label, ctx_a, ctx_b, endings, label
///   piqa        goal, sol1, sol2, label
///   winogrande  sentence with one _, option1, option2, answer
///   cloze       context, choices, answer (a number from 0)
/// Throws std::runtime_error naming file and line for what is none of these, mixes them, or is too
/// large (1 GiB; 1 MiB a line; 64 choices).
Task load_task(const std::filesystem::path& file);
/// The same of the file's text; `where` names it in errors. The task has no name.
Task read_task(std::istream& text, const std::string& where);

/// Log-likelihood, in nats, of every choice of an item.
std::vector<double> choice_log_likelihoods(const Model& model, const Tokenizer& tokenizer,
                                           const TaskItem& item, ForwardContext& context);

struct TaskScore {
  std::string name, layout;
  int64_t items = 0;
  double accuracy = 0, accuracy_error = 0;      // of the likeliest choice, standard error
  double normalised = 0, normalised_error = 0;  // likelihood per character; NaN: does not apply
  double reference_accuracy = 0, reference_normalised = 0;  // of the unquantized model
  double agreement = 0;  // questions answered as the unquantized model
};
struct TaskEvaluation {
  std::vector<TaskScore> tasks;
  std::string recipe;
  bool partial = false;
  double seconds = 0;
};

struct TaskOptions {
  std::filesystem::path model;
  std::vector<std::filesystem::path> tasks;
  std::filesystem::path calibration;
  Recipe recipe;
  int64_t limit = 0;       // questions per task; 0: all
  int64_t context = 1024;  // tokens of a calibration window, and the most of a question
};
/// Throws std::runtime_error for files, std::invalid_argument for recipes that do not fit. When
/// interrupted() the questions so far count and the result is marked partial.
TaskEvaluation evaluate_tasks(const TaskOptions& options);
std::string to_text(const TaskEvaluation& evaluation);
Json to_json(const TaskEvaluation& evaluation);

}  // namespace stamp
