// Text encoders against hidden states made by `transformers`.
#include "stamp/core/error.h"
#include "stamp/io/safetensors.h"
#include "stamp/models/t5/t5.h"
#include "stamp/models/text_encoder.h"
#include "stamp/pipelines/alternative_config.h"
#include "stamp/pipelines/verify_recorder.h"

namespace stamp {
namespace {

constexpr double kTolerance = 2e-5;

/// Rows of [samples, tokens, n] that the mask shows. A padded row of a sliding window may see
/// padding only; nobody uses it.
std::vector<float> visible_rows(std::span<const float> values, std::span<const uint8_t> shown) {
  const size_t width = values.size() / shown.size();
  std::vector<float> result;
  for (size_t i = 0; i < shown.size(); ++i)
    if (shown[i]) result.insert(result.end(), &values[i * width], &values[i * width] + width);
  return result;
}

void check_buckets(const Safetensors& oracle, const ConfigReader& config, VerifyCase& result) {
  if (!oracle.contains("position_buckets")) return;
  const TensorView& tensor = oracle.at("position_buckets");
  const int64_t tokens = tensor.shape.at(0);
  const int64_t buckets = config.integer("relative_attention_num_buckets", 4, 4096).value_or(32);
  const int64_t distance =
      config.integer("relative_attention_max_distance", 1, 1 << 20).value_or(128);
  std::vector<int32_t> got, want;
  for (const float value : read_values(tensor)) want.push_back(static_cast<int32_t>(value));
  for (int64_t q = 0; q < tokens; ++q)
    for (int64_t k = 0; k < tokens; ++k)
      got.push_back(static_cast<int32_t>(t5_position_bucket(k - q, buckets, distance)));
  check_equal(result, "position_buckets", got, want);
}

void run_encoder(const std::filesystem::path& checkpoint, const Safetensors& oracle, bool causal,
                 VerifyCase& result) {
  const auto encoder = open_text_encoder(checkpoint);
  const TensorView& ids = oracle.at("input_ids");
  const TensorView& masks = oracle.at("attention_mask");
  if (ids.shape.size() != 2 || masks.shape != ids.shape)
    throw_runtime("input_ids and attention_mask: expected two equal shapes [samples, tokens]");
  const std::vector<float> all_ids = read_values(ids);
  Recorder recorder;
  ForwardContext context{.observer = &recorder};
  std::vector<uint8_t> shown;
  for (int64_t sample = 0; sample < ids.shape[0]; ++sample) {
    const auto begin = all_ids.begin() + sample * ids.shape[1];
    const std::vector<int32_t> own(begin, begin + ids.shape[1]);
    const std::vector<uint8_t> mask = read_mask(masks, sample);
    recorder.add("last_hidden_state", encoder->forward(own, mask, context).view());
    for (const uint8_t value : mask) shown.push_back(causal ? value : 1);
  }
  for (const auto& [name, values] : recorder.values())
    if (oracle.contains(name))
      check_close(result, name, visible_rows(values, shown),
                  visible_rows(read_values(oracle.at(name)), shown));
}

}  // namespace

void verify_encoder(const std::filesystem::path& directory, VerifyCase& result) {
  result.tolerance = kTolerance;
  const Safetensors oracle = Safetensors::open(directory / "oracle.safetensors");
  const auto checkpoint = directory / "ckpt";
  const Json json = read_json(checkpoint / "config.json");
  const ConfigReader config(json, (checkpoint / "config.json").string());
  const bool causal = config.text("model_type").value_or("") != "t5";
  run_encoder(checkpoint, oracle, causal, result);
  check_buckets(oracle, config, result);
  if (!std::filesystem::exists(checkpoint / "config_alt.json")) return;
  const AlternativeConfig other(checkpoint);
  run_encoder(other.path(), oracle, causal, result);
}

}  // namespace stamp
