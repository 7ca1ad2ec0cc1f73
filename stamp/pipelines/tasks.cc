#include "stamp/pipelines/tasks.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "stamp/core/bytes.h"
#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/core/progress.h"
#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/evaluate.h"
#include "stamp/pipelines/evaluate_print.h"
#include "stamp/pipelines/quantize_layers.h"

namespace stamp {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Encoded {
  std::vector<int32_t> ids;  // BOS, context, continuation
  size_t first = 0;          // of the continuation
};

/// The continuation's ids are what it adds to those of the context, whose trailing spaces belong to
/// it.
Encoded encode_pair(const Tokenizer& tokenizer, std::string context, std::string continuation) {
  const size_t end = context.find_last_not_of(' ') + 1;
  continuation = context.substr(end) + continuation;
  context.resize(end);
  const size_t before = tokenizer.encode(context).size();
  Encoded pair{.ids = tokenizer.encode(context + continuation)};
  pair.first = std::clamp<size_t>(before, 1, pair.ids.size());
  return pair;
}

/// Keeps the end of what is too long for the model.
void shorten(Encoded& pair, int64_t longest) {
  const auto length = static_cast<int64_t>(pair.ids.size());
  if (length <= longest) return;
  pair.ids.erase(pair.ids.begin(), pair.ids.end() - longest);
  pair.first -= std::min(pair.first - 1, static_cast<size_t>(length - longest));
}

double log_probability(std::span<const float> logits, int32_t id) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
  return logits[static_cast<size_t>(id)] - top - std::log(sum);
}

double log_likelihood(const Model& model, const Encoded& pair, ForwardContext& context) {
  KvCache cache = model.make_cache(static_cast<int64_t>(pair.ids.size()));
  const Matrix hidden = model.forward(pair.ids, cache, context);
  const auto count = static_cast<int64_t>(pair.ids.size() - pair.first);
  if (count == 0) return 0;
  Matrix logits(count, model.config().vocab_size);
  model.logits(hidden.view().rows_from(static_cast<int64_t>(pair.first) - 1, count), logits.view(),
               context);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum +=
        log_probability(logits.view().row_span(i), pair.ids[pair.first + static_cast<size_t>(i)]);
  return sum;
}

/// Characters of UTF-8 text: all bytes but continuations.
int64_t code_points(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; });
}

int64_t best_of(const std::vector<double>& scores) {
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

/// Per character, as lm-eval's acc_norm.
std::vector<double> normalised(std::vector<double> scores, const TaskItem& item) {
  for (size_t i = 0; i < scores.size(); ++i)
    scores[i] /= std::max<double>(1, static_cast<double>(code_points(item.choices[i])));
  return scores;
}

struct Answers {
  int64_t likeliest = 0, normalised = 0;
};
Answers answers_of(const Model& model, const Tokenizer& tokenizer, const Task& task,
                   const TaskItem& item) {
  ForwardContext context;
  const std::vector<double> scores = choice_log_likelihoods(model, tokenizer, item, context);
  return {best_of(scores), task.normalises ? best_of(normalised(scores, item)) : -1};
}

double standard_error(double share, int64_t count) {
  return count > 1 ? std::sqrt(share * (1 - share) / static_cast<double>(count - 1)) : 0;
}

TaskScore score_task(const Task& task, const Model& model, const Model& reference,
                     const Tokenizer& tokenizer, int64_t limit, bool& partial) {
  const auto all = static_cast<int64_t>(task.items.size());
  const int64_t count = limit > 0 ? std::min(limit, all) : all;
  const int64_t batch = int64_t{threads()} * communicator().size();
  TaskScore score{.name = task.name, .layout = task.layout};
  Progress progress(task.name, count, "questions");
  for (int64_t first = 0; first < count && !(partial = job_interrupted()); first += batch) {
    const int64_t size = std::min(batch, count - first);
    const auto answered = share_items(size, [&](int64_t i) {
      const TaskItem& item = task.items[static_cast<size_t>(first + i)];
      ByteWriter bytes;
      bytes.put(answers_of(model, tokenizer, task, item));
      bytes.put(answers_of(reference, tokenizer, task, item));
      return bytes.take();
    });
    for (size_t i = 0; i < answered.size(); ++i) {
      ByteReader bytes(answered[i]);
      const auto mine = bytes.get<Answers>(), theirs = bytes.get<Answers>();
      const int64_t answer = task.items[static_cast<size_t>(first) + i].answer;
      score.accuracy += mine.likeliest == answer;
      score.normalised += mine.normalised == answer;
      score.reference_accuracy += theirs.likeliest == answer;
      score.reference_normalised += theirs.normalised == answer;
      score.agreement += mine.likeliest == theirs.likeliest;
      ++score.items;
    }
    progress.advance(size);
  }
  const double items = static_cast<double>(std::max<int64_t>(1, score.items));
  for (double* share : {&score.accuracy, &score.normalised, &score.reference_accuracy,
                        &score.reference_normalised, &score.agreement})
    *share /= items;
  if (!task.normalises) score.normalised = score.reference_normalised = kNan;
  score.accuracy_error = standard_error(score.accuracy, score.items);
  score.normalised_error = standard_error(score.normalised, score.items);
  return score;
}

std::string share_text(double share, double error) {
  if (std::isnan(share)) return "-";
  return fmt::format("{:.2f} +- {:.2f}", 100 * share, 100 * error);
}

}  // namespace

std::vector<double> choice_log_likelihoods(const Model& model, const Tokenizer& tokenizer,
                                           const TaskItem& item, ForwardContext& context) {
  std::vector<double> scores;
  for (int64_t i = 0; i < item.count(); ++i) {
    const auto at = static_cast<size_t>(i);
    const std::string& before = item.contexts[item.contexts.size() == 1 ? 0 : at];
    const std::string& after = item.choices[item.choices.size() == 1 ? 0 : at];
    Encoded pair = encode_pair(tokenizer, before, " " + after);
    shorten(pair, model.config().max_positions);
    scores.push_back(log_likelihood(model, pair, context));
  }
  return scores;
}

TaskEvaluation evaluate_tasks(const TaskOptions& options) {
  check(options.recipe);
  const auto start = std::chrono::steady_clock::now();
  TaskEvaluation result{.recipe = options.recipe.name};
  std::vector<Task> tasks;
  for (const auto& file : options.tasks) tasks.push_back(load_task(file));
  const auto source = ModelSource::open(options.model);
  const Tokenizer tokenizer = Tokenizer::load(options.model);
  const auto text = [&] {
    return CalibrateOptions{
        .ids = calibration_ids(tokenizer, options.model, options.calibration, {}),
        .bos_id = tokenizer.bos_id(),
        .context = options.context};
  };
  const Calibration calibration = calibration_for(source, options.recipe, text);
  const WeightCodes codes = weight_codes_for(source, options.recipe, calibration, text);
  const auto reference = make_model(source, {.recipe = source->reference_recipe()});
  const auto model =
      make_model(source, {.recipe = options.recipe, .calibration = &calibration, .codes = &codes});
  for (const Task& task : tasks) {
    if (result.partial) break;
    result.tasks.push_back(
        score_task(task, *model, *reference, tokenizer, options.limit, result.partial));
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

std::string to_text(const TaskEvaluation& evaluation) {
  std::string text = fmt::format("{}\n{:<20}{:>11}{:>10}{:>18}{:>18}{:>12}{:>12}{:>11}\n",
                                 evaluation.recipe, "task", "layout", "questions", "accuracy, %",
                                 "per character, %", "unquantized", "per char.", "agreement");
  double sum = 0, reference = 0;
  for (const TaskScore& t : evaluation.tasks) {
    text += fmt::format("{:<20}{:>11}{:>10}{:>18}{:>18}{:>12.2f}{:>12}{:>10.1f}%\n", t.name,
                        t.layout, t.items, share_text(t.accuracy, t.accuracy_error),
                        share_text(t.normalised, t.normalised_error), 100 * t.reference_accuracy,
                        std::isnan(t.reference_normalised)
                            ? "-"
                            : fmt::format("{:.2f}", 100 * t.reference_normalised),
                        100 * t.agreement);
    sum += t.accuracy, reference += t.reference_accuracy;
  }
  const auto count = static_cast<double>(evaluation.tasks.size());
  text += fmt::format("average accuracy {:.2f} %, unquantized {:.2f} %; {:.0f} s{}\n",
                      100 * sum / count, 100 * reference / count, evaluation.seconds,
                      evaluation.partial ? "; PARTIAL: interrupted" : "");
  return text;
}

Json to_json(const TaskEvaluation& evaluation) {
  Json json = {{"recipe", evaluation.recipe},
               {"partial", evaluation.partial},
               {"seconds", evaluation.seconds},
               {"tasks", Json::array()}};
  for (const TaskScore& t : evaluation.tasks)
    json["tasks"].push_back({{"name", t.name},
                             {"layout", t.layout},
                             {"questions", t.items},
                             {"acc", t.accuracy},
                             {"acc_stderr", t.accuracy_error},
                             {"acc_norm", finite_or_null(t.normalised)},
                             {"acc_norm_stderr", finite_or_null(t.normalised_error)},
                             {"reference_acc", t.reference_accuracy},
                             {"reference_acc_norm", finite_or_null(t.reference_normalised)},
                             {"agreement", t.agreement}});
  return json;
}

}  // namespace stamp
