// Diffusion transformers and autoencoders against outputs made by `diffusers`.
#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/io/safetensors.h"
#include "stamp/models/autoencoder.h"
#include "stamp/models/dit/features.h"
#include "stamp/models/image_transformer.h"
#include "stamp/pipelines/verify_recorder.h"

namespace stamp {
namespace {

constexpr double kTolerance = 2e-5;

/// All samples of `sample`; captions of further inputs than there are captions are the first ones.
void run_transformer(const ImageTransformer& model, const Safetensors& oracle,
                     const std::string& suffix, Observer* observer, Recorder& recorder) {
  const TensorView& samples = oracle.at("sample" + suffix);
  const std::vector<float> times = read_values(oracle.at("timestep" + suffix));
  if (samples.shape.size() != 4 || static_cast<int64_t>(times.size()) != samples.shape[0])
    throw_runtime("sample{}: expected [samples, channels, height, width] and a timestep each",
                  suffix);
  ForwardContext context{.observer = observer};
  for (int64_t i = 0; i < samples.shape[0]; ++i) {
    const Matrix text = read_rows(oracle.at("encoder_hidden_states"), i);
    const std::vector<uint8_t> mask = read_mask(oracle.at("encoder_attention_mask"), i);
    const ImageCondition condition = model.condition(text.view(), mask, context);
    const PixelMap prediction =
        model.forward(read_map(samples, i), static_cast<double>(times[static_cast<size_t>(i)]),
                      condition, context);
    recorder.add("noise_pred" + suffix, prediction.pixels.view());
  }
}

void check_positions(const ImageTransformerConfig& config, const Safetensors& oracle,
                     const std::string& name, const TensorView& sample, VerifyCase& result) {
  if (!oracle.contains(name)) return;
  const int64_t patch = config.patch_size;
  const Matrix positions =
      grid_positions(sample.shape.at(2) / patch, sample.shape.at(3) / patch, config.dim(),
                     config.sample_size / patch, config.position_scale);
  check_close(result, name, {positions.data(), static_cast<size_t>(positions.size())},
              read_values(oracle.at(name)));
}

void verify_transformer(const std::filesystem::path& checkpoint, const Safetensors& oracle,
                        VerifyCase& result) {
  const auto model = open_image_transformer(checkpoint);
  Recorder recorder;
  run_transformer(*model, oracle, "", &recorder, recorder);
  const bool square = oracle.contains("sample_square");
  if (square) run_transformer(*model, oracle, "_square", nullptr, recorder);
  check_recorded(recorder, oracle, result);
  for (const char* name : {"adaln_6d", "time_6d"})
    if (oracle.contains(name))
      check_close(result, name, recorder.values().at("modulation"), read_values(oracle.at(name)));
  check_positions(model->config(), oracle, "pos_embed_rect", oracle.at("sample"), result);
  if (square)
    check_positions(model->config(), oracle, "pos_embed_square", oracle.at("sample_square"),
                    result);
}

/// Columns [first, first + count) of every pixel.
PixelMap channels_of(const PixelMap& map, int64_t first, int64_t count) {
  PixelMap part(map.height, map.width, count);
  for (int64_t i = 0; i < map.pixels.rows(); ++i)
    std::copy_n(map.pixels.row(i) + first, count, part.pixels.row(i));
  return part;
}

void verify_autoencoder(const std::filesystem::path& checkpoint, const Safetensors& oracle,
                        VerifyCase& result) {
  const auto model = open_autoencoder(checkpoint);
  Recorder recorder;
  ForwardContext observed{.observer = &recorder}, silent;
  recorder.add("decoded", model->decode(read_map(oracle.at("latent"), 0), observed).pixels.view());
  if (oracle.contains("latent_small"))
    recorder.add("decoded_small",
                 model->decode(read_map(oracle.at("latent_small"), 0), silent).pixels.view());
  if (oracle.contains("image")) {
    const PixelMap code = model->encode(read_map(oracle.at("image"), 0), silent);
    const int64_t latent = model->config().latent_channels;
    if (code.channels() == latent) {
      recorder.add("encoded", code.pixels.view());
    } else {
      recorder.add("enc_mean", channels_of(code, 0, latent).pixels.view());
      recorder.add("enc_logvar", channels_of(code, latent, latent).pixels.view());
    }
  }
  // The library shows the norm's output with channels last.
  for (const auto& [name, values] : recorder.values())
    if (oracle.contains(name))
      check_close(
          result, name, values,
          name == "dec_norm_out" ? read_values(oracle.at(name)) : pixel_major(oracle.at(name)));
}

}  // namespace

void verify_diffusion(const std::filesystem::path& directory, VerifyCase& result) {
  result.tolerance = kTolerance;
  const Safetensors oracle = Safetensors::open(directory / "oracle.safetensors");
  if (oracle.contains("noise_pred")) return verify_transformer(directory / "ckpt", oracle, result);
  if (oracle.contains("decoded")) return verify_autoencoder(directory / "ckpt", oracle, result);
  throw_runtime("{}: the oracle has neither noise_pred nor decoded", directory.string());
}

}  // namespace stamp
