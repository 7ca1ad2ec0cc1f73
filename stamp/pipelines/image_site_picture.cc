#include <algorithm>
#include <cmath>

#include "stamp/pipelines/image_compare.h"
#include "stamp/quant/sequence_transform.h"

namespace stamp {
namespace {

constexpr int64_t kOffsets = 8;

double dot(ConstFloatView x, int64_t i, int64_t j) {
  double sum = 0;
  for (int64_t c = 0; c < x.cols; ++c) sum += double{x(i, c)} * x(j, c);
  return sum;
}

Matrix autocorrelation_of(ConstFloatView x, int64_t height, int64_t width) {
  const int64_t reach = std::min({kOffsets, height - 1, width - 1});
  Matrix result(2 * reach + 1, 2 * reach + 1);
  double energy = 0;
  for (int64_t i = 0; i < x.rows; ++i) energy += dot(x, i, i) / static_cast<double>(x.rows);
  for (int64_t dy = -reach; dy <= reach; ++dy)
    for (int64_t dx = -reach; dx <= reach; ++dx) {
      double sum = 0;
      int64_t count = 0;
      for (int64_t y = std::max<int64_t>(0, -dy); y < std::min(height, height - dy); ++y)
        for (int64_t at = std::max<int64_t>(0, -dx); at < std::min(width, width - dx);
             ++at, ++count)
          sum += dot(x, y * width + at, (y + dy) * width + at + dx);
      result(reach + dy, reach + dx) =
          static_cast<float>(sum / static_cast<double>(count) / energy);
    }
  return result;
}

std::vector<float> row_energy(ConstFloatView x) {
  std::vector<float> energy;
  double total = 0;
  for (int64_t i = 0; i < x.rows; ++i) {
    energy.push_back(static_cast<float>(dot(x, i, i)));
    total += energy.back();
  }
  for (float& value : energy) value *= static_cast<float>(static_cast<double>(x.rows) / total);
  return energy;
}

/// Rows [LL_J, (cH, cV, cD)_J, ..., (cH, cV, cD)_1] as a picture.
Matrix wavelet_layout(const std::vector<float>& rows, int64_t height, int64_t width, int levels) {
  Matrix picture(height, width);
  std::vector<std::pair<int64_t, int64_t>> sizes = {{height, width}};
  for (int l = 0; l < levels; ++l)
    sizes.emplace_back((sizes.back().first + 1) / 2, (sizes.back().second + 1) / 2);
  size_t next = 0;
  const auto place = [&](int64_t top, int64_t left, int64_t bottom, int64_t right) {
    for (int64_t y = top; y < bottom; ++y)
      for (int64_t x = left; x < right; ++x) picture(y, x) = rows[next++];
  };
  place(0, 0, sizes.back().first, sizes.back().second);
  for (auto l = static_cast<size_t>(levels); l > 0; --l) {
    const auto [h, w] = sizes[l];
    const auto [bottom, right] = sizes[l - 1];
    place(h, 0, bottom, w);
    place(0, w, h, right);
    place(h, w, bottom, right);
  }
  return picture;
}

}  // namespace

ImageSitePicture make_site_picture(const std::string& site, ConstFloatView x, int64_t width,
                                   int64_t high_tokens) {
  const int64_t height = x.rows / width;
  const SequenceTransform& transform = sequence_transform("haar2d");
  TransformParams params(auto_levels(transform, x.rows, high_tokens, width));
  params.grid_width = width;
  Matrix transformed = Matrix::copy_of(x);
  transform.forward(transformed.view(), params);
  return {
      .site = site,
      .autocorrelation = autocorrelation_of(x, height, width),
      .energy = wavelet_layout(row_energy(x), height, width, 0),
      .transformed = wavelet_layout(row_energy(transformed.view()), height, width, params.levels)};
}

}  // namespace stamp
