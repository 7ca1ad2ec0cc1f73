#include <fmt/format.h>

#include "stamp/pipelines/quantize.h"

namespace stamp {
namespace {

std::string amount(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  return bytes < 1'000'000'000 ? fmt::format("{:.1f} MB", value / 1e6)
                               : fmt::format("{:.2f} GB", value / 1e9);
}

std::string size_lines(const QuantizeEstimate& sizes) {
  return fmt::format(
      "{} -> {} ({:.1f} %) in {} safetensors files, quant_method {}\n"
      "{:.1f} M weights in codes, {:.3f} bits each with scales\n",
      amount(sizes.source_bytes), amount(sizes.output_bytes),
      100 * static_cast<double>(sizes.output_bytes) / static_cast<double>(sizes.source_bytes),
      sizes.files, sizes.format, static_cast<double>(sizes.weights) / 1e6, sizes.bits_per_weight);
}

}  // namespace

Json to_json(const QuantizeEstimate& estimate) {
  return {{"source_bytes", estimate.source_bytes},
          {"output_bytes", estimate.output_bytes},
          {"weights", estimate.weights},
          {"bits_per_weight", estimate.bits_per_weight},
          {"safetensors_files", estimate.files},
          {"quant_method", estimate.format},
          {"peak_bytes", estimate.peak_bytes},
          {"calibration_bytes", estimate.calibration_bytes},
          {"seconds", estimate.seconds}};
}

Json to_json(const QuantizeResult& result) {
  Json json = to_json(result.sizes);
  for (const char* estimated : {"peak_bytes", "calibration_bytes"}) json.erase(estimated);
  json["resumed_files"] = result.resumed_files;
  json["seconds"] = result.seconds;
  json["peak_rss_bytes"] = result.peak_rss_bytes;
  return json;
}

std::string to_text(const QuantizeEstimate& estimate, const QuantizeOptions& options) {
  std::string text = fmt::format("dry run: {} with recipe {} to {}\n", options.model.string(),
                                 options.recipe.name, options.out.string()) +
                     size_lines(estimate) +
                     fmt::format("about {:.0f} s and {} of memory at the peak\n", estimate.seconds,
                                 amount(estimate.peak_bytes));
  if (estimate.calibration_bytes > 0)
    text += fmt::format(
        "before that, calibration runs the plain model: {} of mapped weights, time as 'stamp eval' "
        "takes for that text\n",
        amount(estimate.calibration_bytes));
  return text;
}

std::string to_text(const QuantizeResult& result, const QuantizeOptions& options) {
  std::string text;
  if (result.resumed_files > 0)
    text +=
        fmt::format("{} safetensors files were finished by an earlier run\n", result.resumed_files);
  if (result.sizes.files > 0) text += size_lines(result.sizes);
  return text + fmt::format("{} written in {:.1f} s, peak memory {}\n", options.out.string(),
                            result.seconds, amount(result.peak_rss_bytes));
}

}  // namespace stamp
