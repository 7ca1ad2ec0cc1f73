#pragma once
// Fixed features that diffusion transformers start from.
#include "stamp/nn/pixel_map.h"

namespace stamp {

/// [cos(t f_0) ... | sin(t f_0) ...] of a number, f_k = 10000^(-k / 128), k < 128; in fp32.
std::vector<float> sinusoid_features(float value);

/// Positions of a grid of h x w tokens, [h * w, dim]: the first half of a row encodes the column,
/// the second the row, each as sines, then cosines, of dim / 4 frequencies. Both sides are
/// stretched to `base` and divided by `scale`. dim is a multiple of 4.
Matrix grid_positions(int64_t height, int64_t width, int64_t dim, int64_t base, double scale);

/// Patches of `patch` x `patch` pixels as tokens [tokens, channels * patch * patch], a channel's
/// pixels side by side; and back from tokens whose channels lie side by side.
Matrix patches_of(const PixelMap& map, int64_t patch);
PixelMap map_of_patches(const Matrix& tokens, int64_t height, int64_t width, int64_t patch);

}  // namespace stamp
