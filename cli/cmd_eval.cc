#include <memory>

#include "option_flags.h"
#include "stamp/core/error.h"
#include "stamp/pipelines/options/evaluate.h"

namespace stamp::cli {
namespace {

struct Flags {
  EvaluateOptions options = default_options<EvaluateOptions>();
  TaskOptions tasks;
  bool json = false;
};

void run(Flags& flags) {
  EvaluateOptions& o = flags.options;
  complete_options(o);
  if (!flags.tasks.tasks.empty()) {
    flags.tasks.model = o.model;
    flags.tasks.calibration = o.calibration;
    flags.tasks.recipe = o.recipe;
    const TaskEvaluation tasks = evaluate_tasks(flags.tasks);
    return print_result(flags.json, to_json(tasks), to_text(tasks));
  }
  if (o.text.empty()) throw_argument("eval: --text FILE or --task FILE is required");
  o.compute = usable_compute(o.compute);
  o.reference = usable_compute(o.reference);
  const Evaluation evaluation = evaluate(o);
  print_result(flags.json, to_json(evaluation, o), to_text(evaluation, o));
}

}  // namespace

void add_eval(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<Flags>();
  add_flags(app, flags->options);
  visit_task_options(flags->tasks, FlagVisitor(app));
  app.get_option("MODEL")->required()->check(CLI::ExistingPath);
  app.get_option("--text")->check(CLI::ExistingFile);
  app.get_option("--task")->check(CLI::ExistingFile);
  app.get_option("--reference-model")->check(CLI::ExistingPath);
  app.add_flag("--json", flags->json, "print JSON");
  app.callback([flags, &exit_code] {
    run(*flags);
    exit_code = 0;
  });
}

}  // namespace stamp::cli
