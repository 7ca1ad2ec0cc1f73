#include "stamp/models/dcae/blocks.h"

#include "stamp/nn/activations.h"
#include "stamp/nn/layers.h"
#include "stamp/nn/row_loop.h"

namespace stamp::dcae {

Convolution convolution3(const Component& component, const std::string& name, int64_t out,
                         int64_t in, bool bias, int64_t stride) {
  return component.convolution(name, {.out = out, .in = in, .size = 3, .bias = bias},
                               {.stride = stride, .pad_before = 1, .pad_after = 1});
}

PixelMap mean_of_runs(const PixelMap& x, int64_t run) {
  PixelMap y(x.height, x.width, x.channels() / run);
  for_each_row(y.pixels.rows(), x.channels(), [&](int64_t i) {
    for (int64_t c = 0; c < y.channels(); ++c) {
      float sum = 0;
      for (int64_t j = 0; j < run; ++j) sum += x.pixels(i, c * run + j);
      y.pixels(i, c) = sum / static_cast<float>(run);
    }
  });
  return y;
}

PixelMap repeat_channels(const PixelMap& x, int64_t times) {
  PixelMap y(x.height, x.width, x.channels() * times);
  for_each_row(y.pixels.rows(), y.channels(), [&](int64_t i) {
    for (int64_t c = 0; c < y.channels(); ++c) y.pixels(i, c) = x.pixels(i, c / times);
  });
  return y;
}

PixelMap pixel_shuffle(const PixelMap& x) {
  PixelMap y(2 * x.height, 2 * x.width, x.channels() / 4);
  for_each_row(y.pixels.rows(), y.channels(), [&](int64_t i) {
    const int64_t row = i / y.width, col = i % y.width, part = row % 2 * 2 + col % 2;
    const float* source = x.pixels.row(row / 2 * x.width + col / 2);
    for (int64_t c = 0; c < y.channels(); ++c) y.pixels(i, c) = source[4 * c + part];
  });
  return y;
}

PixelMap pixel_unshuffle(const PixelMap& x) {
  PixelMap y(x.height / 2, x.width / 2, 4 * x.channels());
  for_each_row(y.pixels.rows(), y.channels(), [&](int64_t i) {
    const int64_t row = i / y.width, col = i % y.width;
    for (int64_t part = 0; part < 4; ++part) {
      const float* source = x.pixels.row((2 * row + part / 2) * x.width + 2 * col + part % 2);
      for (int64_t c = 0; c < x.channels(); ++c) y.pixels(i, 4 * c + part) = source[c];
    }
  });
  return y;
}

namespace {

class ResBlock : public Block {
 public:
  ResBlock(const Component& component, const std::string& name, int64_t channels)
      : conv1_(convolution3(component, name + ".conv1", channels, channels)),
        conv2_(convolution3(component, name + ".conv2", channels, channels, false)),
        norm_(component.affine(name + ".norm", channels)) {}

  void forward(PixelMap& x, ForwardContext&) const override {
    PixelMap hidden, branch;
    conv1_.forward({x}, hidden);
    silu(hidden.pixels.view());
    conv2_.forward({hidden}, branch);
    rms_norm_pixels(branch, norm_, kNormEps);
    add_rows(x.pixels.view(), branch.pixels.view());
  }

 private:
  Convolution conv1_, conv2_;
  ChannelAffine norm_;
};

class DownBlock : public Block {
 public:
  DownBlock(const Component& component, const std::string& name, int64_t in, int64_t out,
            bool shuffled)
      : shuffled_(shuffled),
        run_(4 * in / out),
        conv_(convolution3(component, name + ".conv", shuffled ? out / 4 : out, in, true,
                           shuffled ? 1 : 2)) {}

  void forward(PixelMap& x, ForwardContext&) const override {
    PixelMap y;
    conv_.forward({x}, y);
    if (shuffled_) y = pixel_unshuffle(y);
    add_rows(y.pixels.view(), mean_of_runs(pixel_unshuffle(x), run_).pixels.view());
    x = std::move(y);
  }

 private:
  bool shuffled_;
  int64_t run_;
  Convolution conv_;
};

class UpBlock : public Block {
 public:
  UpBlock(const Component& component, const std::string& name, int64_t in, int64_t out,
          bool shuffled)
      : shuffled_(shuffled),
        times_(4 * out / in),
        conv_(convolution3(component, name + ".conv", shuffled ? 4 * out : out, in)) {}

  void forward(PixelMap& x, ForwardContext&) const override {
    PixelMap y;
    conv_.forward({.map = x, .upsample = shuffled_ ? 1 : 2}, y);
    if (shuffled_) y = pixel_shuffle(y);
    add_shortcut(x, y);
    x = std::move(y);
  }

 private:
  /// y += pixel_shuffle(repeat_channels(x, times)).
  void add_shortcut(const PixelMap& x, PixelMap& y) const {
    for_each_row(y.pixels.rows(), y.channels(), [&](int64_t i) {
      const int64_t row = i / y.width, col = i % y.width, part = row % 2 * 2 + col % 2;
      const float* source = x.pixels.row(row / 2 * x.width + col / 2);
      for (int64_t c = 0; c < y.channels(); ++c) y.pixels(i, c) += source[(4 * c + part) / times_];
    });
  }

  bool shuffled_;
  int64_t times_;
  Convolution conv_;
};

}  // namespace

std::unique_ptr<Block> make_res_block(const Component& component, const std::string& name,
                                      int64_t channels) {
  return std::make_unique<ResBlock>(component, name, channels);
}

std::unique_ptr<Block> make_down_block(const Component& component, const std::string& name,
                                       int64_t in, int64_t out, bool shuffled) {
  return std::make_unique<DownBlock>(component, name, in, out, shuffled);
}

std::unique_ptr<Block> make_up_block(const Component& component, const std::string& name,
                                     int64_t in, int64_t out, bool shuffled) {
  return std::make_unique<UpBlock>(component, name, in, out, shuffled);
}

}  // namespace stamp::dcae
