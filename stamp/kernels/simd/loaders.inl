// How weights of each type become vectors of floats. Included once per instruction set, after the
// vector type.
#include <cstdint>

namespace stamp {
namespace {

struct LoadF32 {
  using Element = float;
  static Vec full(const float* p) { return load(p); }
  static Vec part(const float* p, int64_t n) { return load(p, n); }
};

/// 16-bit elements have no masked loads below AVX-512: the tail goes through a buffer.
template <Vec (*Widen)(const uint16_t*)>
struct Load16 {
  using Element = uint16_t;
  static Vec full(const uint16_t* p) { return Widen(p); }
  static Vec part(const uint16_t* p, int64_t n) {
    uint16_t buffer[kWidth] = {};
    for (int64_t i = 0; i < n; ++i) buffer[i] = p[i];
    return Widen(buffer);
  }
};

}  // namespace
}  // namespace stamp
