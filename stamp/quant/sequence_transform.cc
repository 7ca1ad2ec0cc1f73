#include "stamp/quant/sequence_transform.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/quant/dct.h"
#include "stamp/quant/haar.h"
#include "stamp/quant/wht.h"

namespace stamp {
namespace {

std::vector<Band> single_rows(int64_t tokens, int) {
  std::vector<Band> bands;
  for (int64_t i = 0; i < tokens; ++i) bands.push_back({i, 1});
  return bands;
}

void leave_alone(FloatView, int) {}
int64_t one_row(int64_t, int) { return 1; }
int64_t all_rows(int64_t tokens, int) { return tokens; }
int64_t haar_run(int64_t tokens, int levels) {
  return int64_t{1} << std::min(levels, haar_max_levels(tokens));
}

constexpr SequenceTransform kTransforms[] = {
    {"identity", leave_alone, leave_alone, single_rows, one_row, false, true},
    {"haar", haar_forward, haar_inverse, haar_bands, haar_run, true, true},
    {"dct", dct_forward, dct_inverse, single_rows, all_rows, false, false},
    {"wht", wht_forward, wht_inverse, single_rows, all_rows, false, false},
};

}  // namespace

std::span<const SequenceTransform> sequence_transforms() { return kTransforms; }

const SequenceTransform& sequence_transform(std::string_view name) {
  std::vector<std::string_view> known;
  for (const SequenceTransform& transform : kTransforms) {
    if (transform.name == name) return transform;
    known.push_back(transform.name);
  }
  throw_argument("sequence transform: expected one of {}, got '{}'", fmt::join(known, ", "), name);
}

int auto_levels(int64_t tokens, int64_t high_tokens) {
  int levels = 0;
  for (int64_t n = (tokens + 1) / 2; tokens > 1 && n >= high_tokens; n = (n + 1) / 2) {
    ++levels;
    if (n == 1) break;
  }
  return levels;
}

}  // namespace stamp
