#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/pipelines/compare.h"
#include "stamp/quant/bit_plan.h"
#include "stamp/quant/calibration.h"
#include "stamp/quant/klt.h"
#include "stamp/quant/site_probe.h"

namespace stamp {
namespace {

constexpr int64_t kDrawnTokens = 64;
constexpr size_t kDrawnWindows = 16;

// Copies of one site's input, first token (the sink) left out.
struct SiteRecorder : Observer {
  explicit SiteRecorder(std::string name) : site(std::move(name)) {}
  void on_input(const std::string& name, ConstFloatView x, int64_t) override {
    if (name == site && x.rows > 1) inputs.push_back(Matrix::copy_of(x.rows_from(1, x.rows - 1)));
  }
  std::string site;
  std::vector<Matrix> inputs;
};

// Mean over windows of <x_i, x_j> / (|x_i| |x_j|).
Matrix autocorrelation(const std::vector<Matrix>& inputs) {
  const int64_t n = std::min(kDrawnTokens, inputs.front().rows());
  Matrix result = Matrix::zeros(n, n);
  for (const Matrix& x : inputs) {
    std::vector<double> norm(static_cast<size_t>(n));
    const auto dot = [&](int64_t i, int64_t j) {
      double sum = 0;
      for (int64_t c = 0; c < x.cols(); ++c) sum += double{x(i, c)} * x(j, c);
      return sum;
    };
    for (int64_t i = 0; i < n; ++i) norm[static_cast<size_t>(i)] = std::sqrt(dot(i, i)) + 1e-30;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j)
        result(i, j) +=
            static_cast<float>(dot(i, j) / norm[static_cast<size_t>(i)] /
                               norm[static_cast<size_t>(j)] / static_cast<double>(inputs.size()));
  }
  return result;
}

void add_row_energy(const Matrix& x, std::vector<double>& energy, double weight) {
  energy.resize(static_cast<size_t>(x.rows()));
  for (int64_t i = 0; i < x.rows(); ++i)
    for (int64_t c = 0; c < x.cols(); ++c)
      energy[static_cast<size_t>(i)] += weight * double{x(i, c)} * x(i, c);
}

std::vector<int> widths(const TokenSpec& spec, int64_t tokens, std::span<const float> range2) {
  const std::vector<uint8_t> bits = row_bits(spec, tokens, 0, range2);
  return {bits.begin(), bits.end()};
}

SitePicture::Transformed transformed(const std::string& name, const std::vector<Matrix>& inputs,
                                     int high_tokens) {
  TokenSpec spec{.bits = 4};
  spec.sequence = {.transform = name};
  spec.plan = {.kind = "two_level", .high_tokens = high_tokens};
  const int64_t tokens = inputs.front().rows();
  SitePicture::Transformed result{.transform = name};
  SiteProbe probe(spec, "none");
  for (const Matrix& x : inputs) probe.add(Matrix(x).view(), 0);
  const SiteStatistics probed = probe.finish();
  SiteCollector collector(spec, "none", probed);
  const TokenQuantizer quantizer(
      spec, {}, needs_probe(spec) ? std::make_shared<const KltBasis>(probed.covariance) : nullptr);
  for (const Matrix& x : inputs) {
    Matrix copy = x;
    quantizer.forward_block(copy.view());
    add_row_energy(copy, result.energy, 1.0 / static_cast<double>(inputs.size()));
    copy = x;
    collector.add(copy.view(), 0);
  }
  if (tokens <= high_tokens) return result;  // too short for a two-level plan
  result.two_level = widths(spec, tokens, {});
  spec.plan.kind = "waterfill";
  result.waterfill = widths(spec, tokens, collector.finish().range2);
  return result;
}

}  // namespace

SitePicture draw_site(std::shared_ptr<const ModelSource> source, const std::string& site,
                      const std::vector<std::string>& transforms,
                      const std::vector<std::vector<int32_t>>& windows, int high_tokens) {
  SiteRecorder recorder(site.empty() ? fmt::format("layers.{}.attn_in", source->config().layers / 2)
                                     : site);
  const auto model = make_model(source);
  ForwardContext context{.observer = &recorder};
  for (size_t i = 0; i < std::min(windows.size(), kDrawnWindows); ++i) {
    KvCache cache = model->make_cache(static_cast<int64_t>(windows[i].size()));
    model->forward(windows[i], cache, context);
  }
  if (recorder.inputs.empty())
    throw_argument(
        "report: the model has no site '{}'; sites are named layers.0.attn_in, o_in, "
        "mlp_in, down_in",
        recorder.site);
  SitePicture picture{.site = recorder.site};
  picture.autocorrelation = autocorrelation(recorder.inputs);
  for (const Matrix& x : recorder.inputs)
    add_row_energy(x, picture.energy_before, 1.0 / static_cast<double>(recorder.inputs.size()));
  for (const std::string& name : transforms)
    if (name != "none" && name.find(':') == std::string::npos)
      picture.transformed.push_back(transformed(name, recorder.inputs, high_tokens));
  return picture;
}

}  // namespace stamp
