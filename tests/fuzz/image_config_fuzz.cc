// Configs of image pipelines: model_index.json, transformers, autoencoders, CLIP. Sizes that are
// accepted are sizes.
#include "stamp/models/autoencoder.h"
#include "stamp/models/clip/clip_config.h"
#include "stamp/models/image_transformer.h"
#include "stamp/pipelines/image_directory.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace stamp;

void check_sizes(std::initializer_list<int64_t> sizes) {
  constexpr int64_t kMost = int64_t{1} << 40;
  for (const int64_t size : sizes) fuzz::require(size >= 1 && size <= kMost, "a size out of range");
}

void read_all(const ConfigReader& config) {
  fuzz::accepted([&] { read_model_index(config); });
  fuzz::accepted([&] {
    const ImageTransformerConfig c = read_image_transformer_config(config);
    check_sizes({c.layers, c.dim(), c.cross_heads, c.cross_head_dim, c.in_channels, c.out_channels,
                 c.patch_size, c.sample_size, c.caption_channels, c.ff_size});
  });
  fuzz::accepted([&] {
    const AutoencoderConfig c = read_autoencoder_config(config);
    check_sizes({c.latent_channels, c.image_channels, c.factor});
  });
  fuzz::accepted([&] {
    const ClipConfig c = read_clip_config(config);
    for (const ClipTowerConfig& tower : {c.text, c.vision}) {
      check_sizes({tower.hidden_size, tower.ff_size, tower.layers, tower.heads});
      fuzz::require(tower.hidden_size % tower.heads == 0, "sizes that do not fit together");
    }
    check_sizes({c.projection_size, c.vocab_size, c.max_tokens, c.image_size, c.patch_size});
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::accepted([&] {
    const Json json = parse_json(fuzz::text_of(data, size), fuzz::kWhere);
    read_all(ConfigReader(json, fuzz::kWhere));
  });
  return 0;
}
