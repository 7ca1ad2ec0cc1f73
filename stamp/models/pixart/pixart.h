#pragma once
// PixArt-Sigma (arXiv 2403.04692) and PixArt-alpha (arXiv 2310.00426).
#include "stamp/models/image_transformer.h"

namespace stamp {

/// Sizes, of config.json alone.
ImageTransformerConfig read_pixart_config(const ConfigReader& config);

std::unique_ptr<ImageTransformer> make_pixart(std::shared_ptr<const Component> component,
                                              const ModelOptions& options);

}  // namespace stamp
