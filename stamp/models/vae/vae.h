#pragma once
// The variational autoencoder of Stable Diffusion and SDXL (arXiv 2112.10752, 2307.01952).
#include "stamp/models/autoencoder.h"

namespace stamp {

/// What others need to know of config.json; all of it is checked.
AutoencoderConfig read_vae_config(const ConfigReader& config);

std::unique_ptr<Autoencoder> make_vae(std::shared_ptr<const Component> component);

}  // namespace stamp
