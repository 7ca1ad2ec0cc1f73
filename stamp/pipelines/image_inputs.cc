#include "stamp/pipelines/image_inputs.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/io/safetensors.h"
#include "stamp/pipelines/image_run.h"
#include "stamp/pipelines/smoothing.h"

namespace stamp {
namespace {

constexpr int64_t kSampledTokens = 1024;
constexpr std::string_view kPeaks = ".peaks", kRows = ".rows";

/// Rows of inputs, spread over everything that passes.
class InputObserver : public PeakObserver {
 public:
  /// `tokens`: how many will pass each site.
  explicit InputObserver(int64_t tokens)
      : step_(std::max<int64_t>(1, tokens / kSampledTokens) | 1) {}  // odd: all places of an image

  void on_input(const std::string& site, ConstFloatView x, int64_t position) override {
    if (!is_image_site(site)) return;
    PeakObserver::on_input(site, x, position);
    Sample& sample = samples_[site];
    int64_t i = sample.next;
    for (; i < x.rows; i += step_)
      sample.values.insert(sample.values.end(), x.row(i), x.row(i) + x.cols);
    sample.next = i - x.rows;
  }

  ImageInputs finish() {
    ImageInputs result;
    for (auto& [site, sample] : samples_) {
      SiteInputs& inputs = result[site];
      inputs.peaks = std::move(peaks.at(site));
      const auto cols = static_cast<int64_t>(inputs.peaks.size());
      const int64_t rows = static_cast<int64_t>(sample.values.size()) / cols;
      inputs.rows = Matrix::copy_of({sample.values.data(), rows, cols, cols});
    }
    return result;
  }

 private:
  struct Sample {
    std::vector<float> values;
    int64_t next = 0;  // row of the next input
  };
  int64_t step_;
  std::map<std::string, Sample> samples_;
};

}  // namespace

bool is_image_site(const std::string& site) {
  return site.starts_with("blocks.") && site.ends_with("_in");
}

void observe_images(const ImageOptions& options, const ImagePlan& plan, Observer& observer) {
  const std::vector<PromptStates> states = encode_prompts(options, plan);
  const auto model = open_transformer(options, plan, Recipe{}, nullptr);
  const SchedulerConfig scheduler = read_scheduler_config(plan.directory.part("scheduler"));
  ForwardContext context{.compute = options.compute};
  const PreparedPrompts prompts = prepare_prompts(*model, options, plan, states, context);
  context.observer = &observer;
  Progress progress("calibrate", static_cast<int64_t>(options.prompts.size()) * options.steps,
                    "steps");
  DenoiseOptions run{.steps = options.steps};
  run.on_step = [&](size_t, const PixelMap&, const PixelMap&) { progress.advance(1); };
  for (size_t i = 0; i < options.prompts.size(); ++i)
    denoise(*model, scheduler, noise_of(options, plan, i), prompts.condition(i, options.guidance),
            run, context);
}

ImageInputs gather_image_inputs(const ImageOptions& options, const ImagePlan& plan) {
  const int64_t passes = options.steps * (options.guidance > 1 ? 2 : 1);
  InputObserver observer(passes * plan.tokens * static_cast<int64_t>(options.prompts.size()));
  observe_images(options, plan, observer);
  return observer.finish();
}

void write_image_inputs(const std::filesystem::path& file, const ImageInputs& inputs) {
  std::map<std::string, TensorView> tensors;
  for (const auto& [site, own] : inputs) {
    tensors[site + std::string(kPeaks)] = {
        DType::kF32, {static_cast<int64_t>(own.peaks.size())}, own.peaks.data()};
    tensors[site + std::string(kRows)] = {
        DType::kF32, {own.rows.rows(), own.rows.cols()}, own.rows.data()};
  }
  write_safetensors(file, tensors);
}

ImageInputs read_image_inputs(const std::filesystem::path& file) {
  ImageInputs inputs;
  const Safetensors stored = Safetensors::open(file);
  for (const auto& [name, tensor] : stored.tensors()) {
    const bool peaks = name.ends_with(kPeaks) && tensor.shape.size() == 1;
    const bool rows = name.ends_with(kRows) && tensor.shape.size() == 2;
    if (tensor.dtype != DType::kF32 || (!peaks && !rows))
      throw_runtime("{}: tensor '{}' is none of a calibration's", file.string(), name);
    SiteInputs& own = inputs[name.substr(0, name.rfind('.'))];
    if (rows) {
      own.rows = to_matrix(tensor);
    } else {
      own.peaks.resize(static_cast<size_t>(tensor.size()));
      to_f32(tensor, 0, own.peaks);
    }
  }
  for (const auto& [site, own] : inputs)
    if (own.peaks.empty() || own.rows.cols() != static_cast<int64_t>(own.peaks.size()))
      throw_runtime("{}: '{}' is not complete", file.string(), site);
  return inputs;
}

}  // namespace stamp
