#pragma once
// From latents to pictures.
#include "stamp/io/image_file.h"
#include "stamp/models/autoencoder.h"

namespace stamp {

/// The image of a transformer's latents, about -1 .. 1 (the autoencoder's scaling undone first).
/// Throws std::runtime_error when it is not finite.
PixelMap decode_latents(const Autoencoder& autoencoder, PixelMap latents, ForwardContext& context);
/// The same in tiles of at most `tile` x `tile` latents that overlap by a quarter and are blended
/// there: less memory, and a slightly different image, because norms see one tile only.
PixelMap decode_tiled(const Autoencoder& autoencoder, const PixelMap& latents, int64_t tile,
                      ForwardContext& context);
/// Means of squares of latents, so that no side is longer than `side`; the same where none is. A
/// ragged border keeps the mean of what it has.
PixelMap averaged_down(const PixelMap& latents, int64_t side);
/// -1 .. 1 to 0 .. 255, clamped, rounded half to even.
Picture to_picture(const PixelMap& image);

}  // namespace stamp
