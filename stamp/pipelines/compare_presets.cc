#include "stamp/pipelines/compare_presets.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/io/model_files.h"
#include "stamp/io/text_lines.h"

namespace stamp {
namespace {

using Given = std::function<bool(const std::string&)>;

void apply_demo(CompareOptions& o, const Given& given) {
  if (!given("text")) o.text = model_folder(o.model) / "heldout.txt";
  if (!given("bits")) o.bits = {{4, 4, 4}, {16, 3, 3}, {16, 2, 2}};
  if (!given("plan")) o.plans = {"two_level", "waterfill"};
  if (!given("sequence")) o.sequences = {"none", "haar"};
  if (!given("windows")) o.max_windows = 12;
}

void apply_paper(CompareOptions& o, const Given& given) {
  o.paper = true;
  if (!given("feature")) o.features = {"rtn", "smoothquant", "quarot", "flatquant"};
  if (!given("sequence")) o.sequences = {"none", "haar:3", "dct", "wht", "klt"};
  if (!given("bits")) o.bits = {{4, 4, 4}};
  if (!given("context")) o.context = 2048;
  if (!given("bos")) o.bos_every_window = false;
}

constexpr size_t kDemoPrompts = 8;

void apply_demo(ImageCompareOptions& o, const Given& given) {
  const std::vector<std::string> lines = read_lines(o.image.pipeline / "prompts.txt");
  const size_t drawn = std::min(kDemoPrompts, lines.size());
  const auto middle = lines.begin() + static_cast<std::ptrdiff_t>(drawn);
  const auto end =
      middle + static_cast<std::ptrdiff_t>(std::min(kDemoPrompts, lines.size() - drawn));
  if (!given("prompts")) o.image.prompts.assign(lines.begin(), middle);
  if (!given("calibration_prompts")) o.calibration_prompts.assign(middle, end);
  if (!given("guidance")) o.image.guidance = 3.0;
  if (!given("feature")) o.grid.features = {"none", "hadamard"};
  if (!given("weights")) o.grid.weights = {4};
}

}  // namespace

void apply_preset(CompareOptions& options, const std::string& preset, const Given& given) {
  if (preset == "demo") return apply_demo(options, given);
  if (preset == "paper-llm") return apply_paper(options, given);
  if (!preset.empty())
    throw_argument("compare: unknown preset '{}', expected demo or paper-llm", preset);
}

void apply_preset(ImageCompareOptions& options, const std::string& preset, const Given& given) {
  if (preset == "demo") return apply_demo(options, given);
  if (!preset.empty() && preset != "paper-lvm")
    throw_argument("compare: unknown preset '{}' for images, expected demo or paper-lvm", preset);
}

}  // namespace stamp
