#include <memory>

#include "command.h"
#include "stamp/core/error.h"
#include "stamp/pipelines/evaluate.h"
#include "stamp/pipelines/tasks.h"

namespace stamp::cli {

void add_eval(CLI::App& app, int& exit_code) {
  struct Flags {
    EvaluateOptions options;
    std::string recipe, bos = "every";
    std::vector<std::filesystem::path> tasks;
    int64_t limit = 0;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  EvaluateOptions& options = flags->options;
  app.add_option("MODEL", options.model, "Hugging Face model directory")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--text", options.text, "text to score")->check(CLI::ExistingFile);
  app.add_option("--task", flags->tasks,
                 "multiple-choice questions (JSONL as ARC, HellaSwag, PIQA, Winogrande, or cloze) "
                 "to answer instead; may be repeated")
      ->check(CLI::ExistingFile);
  app.add_option("--limit", flags->limit, "questions per task; 0: all");
  app.add_option(
      "--recipe", flags->recipe,
      "preset name or JSON file (see 'stamp recipe'; default: that of stored weights, or bf16)");
  app.add_option("--reference-model", options.reference_model,
                 "plain model to compare with, when MODEL has stored weights")
      ->check(CLI::ExistingDirectory);
  app.add_option("--calibration", options.calibration,
                 "calibration text, never the scored one (default: MODEL/calibration.txt)");
  app.add_option("--cache", options.cache,
                 "folder that keeps learned transforms, so that an interrupted run continues");
  app.add_option("--context", options.context, "tokens per window")->capture_default_str();
  app.add_option("--windows", options.max_windows, "at most so many windows; 0: all");
  app.add_option("--bos", flags->bos, "which windows start with BOS")
      ->check(CLI::IsMember({"every", "first"}))
      ->capture_default_str();
  app.add_option("--causal-positions", options.causal_positions,
                 "positions scored for the exactly causal figure; 0: off")
      ->capture_default_str();
  add_execution(app, options.execution);
  add_compute(app, "--compute", options.compute, "arithmetic of the quantized model");
  add_compute(app, "--reference", options.reference, "arithmetic of the reference model");
  app.add_flag("--json", flags->json, "print JSON");
  app.callback([flags, &exit_code] {
    EvaluateOptions& o = flags->options;
    o.recipe = recipe_or_stored(flags->recipe, o.model);
    exit_code = 0;
    if (!flags->tasks.empty()) {
      const TaskEvaluation tasks = evaluate_tasks({.model = o.model,
                                                   .tasks = flags->tasks,
                                                   .calibration = o.calibration,
                                                   .recipe = o.recipe,
                                                   .limit = flags->limit});
      return print_result(flags->json, to_json(tasks), to_text(tasks));
    }
    if (o.text.empty()) throw_argument("eval: --text FILE or --task FILE is required");
    o.bos_every_window = flags->bos == "every";
    o.compute = usable_compute(o.compute);
    o.reference = usable_compute(o.reference);
    const Evaluation evaluation = evaluate(o);
    print_result(flags->json, to_json(evaluation, o), to_text(evaluation, o));
  });
}

}  // namespace stamp::cli
