#include "stamp/models/calibration_file.h"

#include <gtest/gtest.h>

#include <limits>

#include "stamp/io/safetensors.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

class CalibrationFile : public testing::Test {
 protected:
  TempDirectory dir;
  std::filesystem::path file = dir.path() / "calibration";

  void expect_refused(const std::string& name, const Shape& shape, std::vector<float> values) {
    write_safetensors(file, {{name, {DType::kF32, shape, values.data()}}});
    EXPECT_THROW(read_calibration(file), std::runtime_error) << name;
  }
};

TEST_F(CalibrationFile, ComesBack) {
  Calibration want;
  SiteStatistics& site = want["layers.3.attn_in"];
  site.range2 = {1, 0};
  site.mean = {-1, 2};
  site.center = true;
  site.scale = {0.5f, -3};
  site.clip = {0.9f, 1};
  site.weight_clip = {0.1f, 0.2f, 0.3f, 0.4f};
  site.left = Matrix::zeros(2, 2);
  site.left(0, 1) = 7;
  want["layers.3.k"].right = Matrix::zeros(3, 3);
  want["layers.3.k"].mean = {5};  // measured, but not used: not kept
  write_calibration(file, want);
  Calibration got = read_calibration(file);
  ASSERT_EQ(got.size(), 2u);
  const SiteStatistics& back = got["layers.3.attn_in"];
  EXPECT_EQ(back.range2, site.range2);
  EXPECT_EQ(back.mean, site.mean);
  EXPECT_TRUE(back.center);
  EXPECT_EQ(back.scale, site.scale);
  EXPECT_EQ(back.clip, site.clip);
  EXPECT_EQ(back.weight_clip, site.weight_clip);
  EXPECT_EQ(back.left(0, 1), 7);
  EXPECT_EQ(got["layers.3.k"].right.rows(), 3);
  EXPECT_FALSE(got["layers.3.k"].center);
}

TEST_F(CalibrationFile, RefusesWhatCannotBe) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  expect_refused("a.range2", {2}, {1, -1});
  expect_refused("a.range2", {1, 1}, {1});
  expect_refused("a.mean", {1}, {nan});
  expect_refused("a.scale", {2}, {1, 0});
  expect_refused("a.clip", {2}, {1, 1.5f});
  expect_refused("a.weight_clip", {2}, {0, 1});
  expect_refused("a.left", {2}, {0, 1});
  expect_refused("a.right", {1, 2}, {0, 1});
  expect_refused("a.right", {1, 1}, {nan});
  expect_refused("a.other", {1}, {1});
  expect_refused(".mean", {1}, {1});
}

}  // namespace
}  // namespace stamp
