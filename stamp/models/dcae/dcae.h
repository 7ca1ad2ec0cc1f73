#pragma once
// The deep-compression autoencoder of SANA (DC-AE, arXiv 2410.10733).
#include "stamp/models/autoencoder.h"

namespace stamp {

std::unique_ptr<Autoencoder> make_dcae(std::shared_ptr<const Component> component);

}  // namespace stamp
