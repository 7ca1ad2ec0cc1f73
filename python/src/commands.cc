// The pipelines that measure, search and store: one function each.
#include <functional>

#include "call.h"
#include "keywords.h"
#include "stamp/pipelines/compare_presets.h"
#include "stamp/pipelines/doctor.h"
#include "stamp/pipelines/info.h"
#include "stamp/pipelines/options/bench.h"
#include "stamp/pipelines/options/compare.h"
#include "stamp/pipelines/options/evaluate.h"
#include "stamp/pipelines/options/image.h"
#include "stamp/pipelines/options/quantize.h"
#include "stamp/pipelines/options/sensitivity.h"
#include "stamp/pipelines/options/tune.h"
#include "stamp/pipelines/options/verify.h"

namespace stamp::python {
namespace {

constexpr const char* kResult = "stamp_quant._result.Result";

nb::object make_result(const Json& json, const std::string& text, const std::string& html = "") {
  return nb::module_::import_("stamp_quant._result").attr("Result")(to_python(json), text, html);
}

/// module.NAME(ARGUMENT, *, ...) from the list of `Options`.
template <class Options>
void add_command(nb::module_& module, const std::string& name, const std::string& documentation,
                 nb::object (*run)(const Options&), const std::string& examples = "") {
  const Described described = describe<Options>(name, documentation, kResult, examples);
  module.def(
      keep(name),
      [name, run](const nb::args& args, const nb::kwargs& kwargs) {
        return run(read_options<Options>(name, args, kwargs));
      },
      nb::sig(described.signature), described.documentation);
}

nb::object run_evaluate(const EvaluateOptions& o) {
  const Evaluation result = call([&] { return evaluate(o); });
  return make_result(to_json(result, o), to_text(result, o));
}

nb::object run_tasks(const TaskOptions& o) {
  const TaskEvaluation result = call([&] { return evaluate_tasks(o); });
  return make_result(to_json(result), to_text(result));
}

nb::object run_sensitivity(const SensitivityOptions& o) {
  const Sensitivity result = call([&] { return measure_sensitivity(o); });
  return make_result(to_json(result), to_text(result), to_html(result));
}

nb::object run_tune(const TuneOptions& o) {
  const Tuning result = call([&] { return tune(o); });
  return make_result(to_json(result), to_text(result));
}

nb::object run_ablations(const AblationOptions& o) {
  const AblationReport result = call([&] { return stamp::run_ablations(o); });
  return make_result(to_json(result), to_text(result), to_html(result));
}

struct CompareImagesKeywords {
  ImageCompareOptions options;
  std::string preset;
};
template <class Visitor>
void visit_options(CompareImagesKeywords& o, Visitor&& visit) {
  visit_options(o.options, visit);
  visit("preset", o.preset,
        "demo: the bundled pipeline's grid; paper-lvm: the paper's; other options override");
}

nb::object compare_images_with(const nb::args& args, const nb::kwargs& kwargs) {
  auto [o, preset] = read_options<CompareImagesKeywords>("compare_images", args, kwargs);
  apply_preset(o, preset, [&](const std::string& name) { return kwargs.contains(name.c_str()); });
  const ImageComparison result = call([&] { return compare_images(o); });
  return make_result(to_json(result), to_text(result), to_html(result));
}

nb::object run_verify(const VerifyOptions& o) {
  const std::vector<VerifyCase> result = call([&] { return verify(o); });
  return make_result(to_json(result), to_text(result));
}

/// What the lists of the command line leave to it: widths, presets, recipes that take turns,
/// estimates.
struct CompareKeywords {
  CompareOptions options;
  std::vector<std::string> bits = {"w4a4kv4"};
  std::string preset;
};
template <class Visitor>
void visit_options(CompareKeywords& o, Visitor&& visit) {
  visit_options(o.options, visit);
  visit("bits", o.bits, "widths of weights, activations and K/V, such as w4a4kv4 and a3kv3");
  visit("preset", o.preset,
        "demo: the bundled model's grid; paper-llm: the paper's methods; other options override");
}

nb::object compare_with(const nb::args& args, const nb::kwargs& kwargs) {
  auto [o, bits, preset] = read_options<CompareKeywords>("compare", args, kwargs);
  o.bits.clear();
  for (const std::string& text : bits) o.bits.push_back(parse_bit_setting(text));
  apply_preset(o, preset, [&](const std::string& name) { return kwargs.contains(name.c_str()); });
  const Comparison result = call([&] { return compare(o); });
  return make_result(to_json(result), to_text(result), o.recipes.empty() ? to_html(result) : "");
}

struct QuantizeKeywords {
  QuantizeOptions options;
  bool dry_run = false;
};
template <class Visitor>
void visit_options(QuantizeKeywords& o, Visitor&& visit) {
  visit_options(o.options, visit);
  visit("dry_run", o.dry_run, "only estimate sizes, memory and time; write nothing");
}

nb::object run_quantize(const QuantizeKeywords& keywords) {
  QuantizeOptions o = keywords.options;
  o.command = "stamp_quant.quantize";
  if (keywords.dry_run) {
    const QuantizeEstimate estimate = call([&] { return estimate_quantize(o); });
    return make_result(to_json(estimate), to_text(estimate, o));
  }
  const QuantizeResult result = call([&] { return quantize(o); });
  return make_result(to_json(result), to_text(result, o));
}

struct BenchKeywords {
  BenchOptions options;
};
template <class Visitor>
void visit_options(BenchKeywords& o, Visitor&& visit) {
  visit_options(o.options, visit);
  visit("recipes", o.options.recipes, "one, or two that take turns; default: bf16");
}

nb::object run_bench(const BenchKeywords& keywords) {
  BenchOptions o = keywords.options;
  if (o.recipes.empty()) o.recipes.emplace_back();
  const std::vector<std::string> images = image_shape_names();
  if (std::find(images.begin(), images.end(), o.shape) != images.end()) {
    const ImageBenchOptions image{.shape = o.shape,
                                  .recipes = o.recipes,
                                  .runs = o.runs,
                                  .compute = o.compute,
                                  .execution = o.execution};
    const ImageBenchResult result = call([&] { return bench_image_step(image); });
    return make_result(to_json(result, image), to_text(result, image));
  }
  if (!o.linear && o.prefill == 0 && o.decode == 0) o.prefill = 2048;
  const BenchResult result = call([&] { return bench(o); });
  return make_result(to_json(result, o), to_text(result, o));
}

nb::object run_info(const std::filesystem::path& model) {
  const ModelInfo info = call([&] { return inspect_model(model); });
  return make_result(to_json(info), to_text(info));
}

nb::object run_doctor() {
  const Diagnosis diagnosis = call([] { return diagnose(); });
  return make_result(to_json(diagnosis), to_text(diagnosis));
}

constexpr const char* kEvaluateExamples = R"(
>>> result = stamp_quant.evaluate(model, text=text, recipe='w4a4kv4-stamp', context=256,
...                               windows=2, causal_positions=0)
>>> 0 < result['all_tokens']['kl_mean'] < 0.5
True
)";
constexpr const char* kCompareExamples = R"(
>>> result = stamp_quant.compare(model, text=text, recipes=['w4a4kv4', 'w4a4kv4-stamp'],
...                              context=256, windows=2)
>>> [row['recipe']['name'] for row in result['rows']]
['w4a4kv4', 'w4a4kv4-stamp']
)";
constexpr const char* kQuantizeExamples = R"(
>>> stamp_quant.quantize(model, recipe='w4a4kv4-stamp', out='unused', dry_run=True)['quant_method']
'stamp'
)";

}  // namespace

void add_commands(nb::module_& module) {
  add_command<EvaluateOptions>(
      module, "evaluate",
      "Perplexity, KL divergence, top-1 agreement and SQNR of a recipe on a text.", run_evaluate,
      kEvaluateExamples);
  add_command<TaskOptions>(module, "evaluate_tasks", "Multiple choice answered by likelihood.",
                           run_tasks);
  add_command<SensitivityOptions>(
      module, "sensitivity", "KL divergence when each tensor alone is quantized.", run_sensitivity);
  add_command<TuneOptions>(module, "tune",
                           "Searches for the recipe that loses least at a given width.", run_tune);
  add_command<AblationOptions>(module, "ablations", "One setting varied at a time, as curves.",
                               run_ablations);
  add_command<QuantizeKeywords>(module, "quantize",
                                "Stores a model's weights in the codes of a recipe.", run_quantize,
                                kQuantizeExamples);
  add_command<BenchKeywords>(module, "bench", "Speed and memory of prefill and decoding.",
                             run_bench);
  add_command<VerifyOptions>(
      module, "verify", "Checks this build against a folder of reference outputs.", run_verify);
  module.def(
      "info", &run_info, nb::arg("model"),
      nb::sig("def info(model: str | os.PathLike) -> stamp_quant._result.Result"),
      "What a model directory holds.\n\n>>> stamp_quant.info(model)['config']['layers']\n8\n");
  module.def("doctor", &run_doctor, nb::sig("def doctor() -> stamp_quant._result.Result"),
             "What this machine offers, measured, and what stands in the way.");
  const Described compare =
      describe<CompareKeywords>("compare",
                                "A grid of recipes, or a list of them, on the same windows; "
                                "Result.save('report.html') writes the report of a grid.",
                                kResult, kCompareExamples);
  module.def("compare", &compare_with, nb::sig(compare.signature), compare.documentation);
  const Described images = describe<CompareImagesKeywords>(
      "compare_images", "Recipes of a diffusion transformer on the same prompts and seeds.",
      kResult);
  module.def("compare_images", &compare_images_with, nb::sig(images.signature),
             images.documentation);
}

}  // namespace stamp::python
