#pragma once
// Gemma 2 (arXiv 2408.00118) as a text encoder: the decoder without its output head. Norms before
// and after every block, soft-capped scores, every other layer with a sliding window.
#include "stamp/models/text_encoder.h"

namespace stamp {

std::unique_ptr<TextEncoder> make_gemma2_encoder(std::shared_ptr<const Component> component);

}  // namespace stamp
