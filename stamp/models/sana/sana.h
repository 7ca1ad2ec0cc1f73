#pragma once
// SANA (arXiv 2410.10629): linear attention, and a feed-forward network with a depthwise
// convolution.
#include "stamp/models/image_transformer.h"

namespace stamp {

/// Sizes, of config.json alone.
ImageTransformerConfig read_sana_config(const ConfigReader& config);

std::unique_ptr<ImageTransformer> make_sana(std::shared_ptr<const Component> component,
                                            const ModelOptions& options);

}  // namespace stamp
