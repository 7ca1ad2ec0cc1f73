#pragma once
// A plausible Comparison made of formulas: what the tests of the report draw.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "stamp/core/rng.h"
#include "stamp/pipelines/compare.h"

namespace stamp {

/// One line: `loss` is what quantization adds to the NLL, in nats.
inline CompareRow sample_row(int bits, const std::string& feature, const std::string& sequence,
                             const std::string& plan, double loss, double baseline_loss) {
  constexpr double kReference = 3.2;
  CompareRow row;
  row.feature = feature;
  row.sequence = sequence;
  row.plan = plan;
  row.weight_bits = row.activation_bits = row.kv_bits = bits;
  row.scores.tokens = 8192;
  row.scores.perplexity_reference = std::exp(kReference);
  row.scores.perplexity = std::exp(kReference + loss);
  row.scores.kl_mean = 0.9 * loss;
  row.scores.kl_99 = 11 * loss;
  row.scores.top1_agreement = 1 - 0.8 * loss;
  row.bits.activations = row.bits.kv = bits + (plan == "uniform" ? 0 : 0.0625 * (8 - bits));
  row.bits.activations_with_scales = row.bits.activations + 0.0625;
  row.bits.kv_with_scales = row.bits.kv + 0.375;
  const bool baseline = sequence == "none" && plan == "two_level";
  row.gap_closed_perplexity = row.gap_closed_kl = std::numeric_limits<double>::quiet_NaN();
  if (!baseline) {
    row.gap_closed_perplexity = 1 - std::expm1(loss) / std::expm1(baseline_loss);
    row.gap_closed_kl = 1 - loss / baseline_loss;
    row.nll_difference = loss - baseline_loss;
    row.nll_low = row.nll_difference - 0.25 * baseline_loss;
    row.nll_high = row.nll_difference + 0.25 * baseline_loss;
  }
  for (int layer = 0; layer < 6; ++layer) {
    for (const char* kind : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                             "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      const double wave = std::sin(1.7 * layer + kind[7]);
      row.linears.push_back({"layers." + std::to_string(layer) + "." + kind,
                             8 + 2 * wave + 6 * (bits - 2) - 9 * loss / (1 + loss)});
    }
  }
  return row;
}

inline std::vector<CompareRow> sample_rows() {
  const std::vector<std::pair<std::string, double>> transforms = {
      {"haar", 0.58}, {"dct", 0.52}, {"wht", 0.66}};
  std::vector<CompareRow> rows;
  for (int bits : {4, 3, 2}) {
    for (const std::string feature : {"none", "hadamard"}) {
      const double base = (feature == "none" ? 0.04 : 0.018) * std::pow(4.2, 4 - bits);
      rows.push_back(sample_row(bits, feature, "none", "uniform", 1.12 * base, base));
      rows.push_back(sample_row(bits, feature, "none", "two_level", base, base));
      for (const auto& [transform, factor] : transforms) {
        const double share = feature == "none" ? factor : 0.3 + 0.7 * factor;
        rows.push_back(sample_row(bits, feature, transform, "two_level", share * base, base));
        rows.push_back(
            sample_row(bits, feature, transform, "waterfill", 0.87 * share * base, base));
      }
    }
  }
  return rows;
}

inline SitePicture sample_picture(int64_t tokens = 1023) {
  SitePicture picture;
  picture.site = "layers.3.attn_in";
  picture.autocorrelation = Matrix(64, 64);
  Rng rng(7);
  for (int64_t i = 0; i < 64; ++i) {
    for (int64_t j = 0; j < 64; ++j) {
      const double correlation =
          0.12 + 0.45 * std::exp(-std::abs(double(i - j)) / 5) + 0.05 * std::sin(i * j);
      picture.autocorrelation(i, j) = i == j ? 1 : static_cast<float>(correlation);
    }
  }
  for (int64_t i = 0; i < tokens; ++i) picture.energy_before.push_back(300 + 60 * rng.normal());
  for (const char* name : {"haar", "dct", "wht"}) {
    SitePicture::Transformed transformed{name, {}, {}, {}};
    for (int64_t i = 0; i < tokens; ++i) {
      const double band = name[0] == 'h' ? std::exp2(std::floor(std::log2(i + 1))) : i + 1.0;
      const double energy = 120 + 2.5e4 / std::pow(band, 1.1);
      transformed.energy.push_back(energy * (1 + 0.15 * rng.normal()));
      transformed.two_level.push_back(i < 64 ? 8 : 4);
      transformed.waterfill.push_back(std::min(8, static_cast<int>(std::log2(energy) - 2.6)));
    }
    picture.transformed.push_back(transformed);
  }
  return picture;
}

inline Comparison sample_comparison() {
  Comparison comparison;
  comparison.options.context = 1024;
  comparison.options.plans = {"two_level", "waterfill"};
  comparison.options.calibration = "calibration.txt";
  comparison.machine = "AMD EPYC 9R14, 2 threads, avx512";
  comparison.model_name = "stamp-demo-16m";
  comparison.text_name = "heldout.txt";
  comparison.commit = "0123abc";
  comparison.perplexity_reference = std::exp(3.2);
  comparison.bits_per_byte_reference = 1.0421;
  comparison.windows = 8;
  comparison.rows = sample_rows();
  comparison.picture = sample_picture();
  comparison.seconds = 412;
  comparison.peak_rss_bytes = int64_t{812} << 20;
  comparison.notes = {"hadamard: in_dim 384 uses H_384 = H_12 x H_32", "lm_head stays unquantized"};
  return comparison;
}

}  // namespace stamp
