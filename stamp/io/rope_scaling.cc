#include "stamp/io/rope_scaling.h"

#include <cmath>

namespace stamp {
namespace {

constexpr int64_t kMaxPositions = int64_t{1} << 20;
constexpr const char* kOriginal = "original_max_position_embeddings";

double required_factor(const ConfigReader& rope, const char* key) {
  return rope.required(rope.number(key, 1e-3, 1e6), key);
}

RopeScaling read_linear(const ConfigReader& rope) {
  return {.type = RopeScaling::Type::kLinear, .factor = required_factor(rope, "factor")};
}

RopeScaling read_llama3(const ConfigReader& rope) {
  RopeScaling scaling;
  scaling.factor = required_factor(rope, "factor");
  scaling.low_freq_factor = required_factor(rope, "low_freq_factor");
  scaling.high_freq_factor = required_factor(rope, "high_freq_factor");
  scaling.original_max_position_embeddings =
      rope.required(rope.integer(kOriginal, 1, kMaxPositions), kOriginal);
  if (scaling.high_freq_factor <= scaling.low_freq_factor)
    rope.reject("high_freq_factor", "expected more than low_freq_factor");
  return scaling;
}

/// What keeps the entropy of attention where training left it (YaRN, arXiv 2309.00071, eq. 22).
double read_attention_factor(const ConfigReader& rope, double factor) {
  if (const auto given = rope.number("attention_factor", 1e-3, 1e3)) return *given;
  const auto magnitude = [factor](double scale) {
    return factor <= 1 ? 1.0 : 0.1 * scale * std::log(factor) + 1.0;
  };
  const double scale = rope.number("mscale", 0, 1e3).value_or(0);
  const double all = rope.number("mscale_all_dim", 0, 1e3).value_or(0);
  return scale != 0 && all != 0 ? magnitude(scale) / magnitude(all) : magnitude(1);
}

double beta_or(const ConfigReader& rope, const char* key, double otherwise) {
  const double beta = rope.number(key, 0, 1e6).value_or(0);
  if (beta != 0 && beta < 1e-6) rope.reject(key, "expected 0 (the default) or at least 1e-6");
  return beta == 0 ? otherwise : beta;
}

RopeScaling read_yarn(const ConfigReader& rope, double theta, int64_t positions) {
  if (theta <= 1) throw_runtime("{}: YaRN needs a rope_theta above 1, got {}", rope.where(), theta);
  RopeScaling scaling{.type = RopeScaling::Type::kYarn};
  scaling.original_max_position_embeddings =
      rope.integer(kOriginal, 1, kMaxPositions).value_or(positions);
  const double ratio = static_cast<double>(positions) /
                       static_cast<double>(scaling.original_max_position_embeddings);
  scaling.factor = rope.number("factor", 1e-3, 1e6).value_or(ratio);
  scaling.beta_fast = beta_or(rope, "beta_fast", scaling.beta_fast);
  scaling.beta_slow = beta_or(rope, "beta_slow", scaling.beta_slow);
  if (scaling.beta_fast < scaling.beta_slow)
    rope.reject("beta_fast", fmt::format("expected at least beta_slow {}", scaling.beta_slow));
  scaling.truncate = rope.boolean("truncate").value_or(true);
  scaling.attention_factor = read_attention_factor(rope, scaling.factor);
  return scaling;
}

}  // namespace

std::optional<RopeScaling> read_rope_scaling(const ConfigReader& rope, double theta,
                                             int64_t positions) {
  const char* key = rope.find("rope_type") != nullptr ? "rope_type" : "type";
  const std::string type = rope.text(key).value_or("default");
  if (type == "default") return std::nullopt;
  if (type == "linear") return read_linear(rope);
  if (type == "llama3") return read_llama3(rope);
  if (type == "yarn") return read_yarn(rope, theta, positions);
  rope.reject(key, R"(supported are "default", "linear", "llama3" and "yarn")");
}

}  // namespace stamp
