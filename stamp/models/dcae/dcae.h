#pragma once
// The deep-compression autoencoder of SANA (DC-AE, arXiv 2410.10733).
#include "stamp/models/autoencoder.h"

namespace stamp {

/// What others need to know of config.json; all of it is checked.
AutoencoderConfig read_dcae_config(const ConfigReader& config);

std::unique_ptr<Autoencoder> make_dcae(std::shared_ptr<const Component> component);

}  // namespace stamp
