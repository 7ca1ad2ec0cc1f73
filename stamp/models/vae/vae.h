#pragma once
// The variational autoencoder of Stable Diffusion and SDXL (arXiv 2112.10752, 2307.01952).
#include "stamp/models/autoencoder.h"

namespace stamp {

std::unique_ptr<Autoencoder> make_vae(std::shared_ptr<const Component> component);

}  // namespace stamp
