#pragma once
// The encoder of T5 v1.1 (Raffel et al. 2020): pre-norm blocks of self-attention with relative
// position biases and a gated GELU, no absolute positions, no biases in linears.
#include "stamp/models/text_encoder.h"

namespace stamp {

std::unique_ptr<TextEncoder> make_t5_encoder(std::shared_ptr<const Component> component);

/// Bucket of the distance key - query, bidirectional: half of the buckets for either direction,
/// exact up to a quarter of them, then logarithmic up to `max_distance`.
int64_t t5_position_bucket(int64_t distance, int64_t buckets, int64_t max_distance);

}  // namespace stamp
