#include <gtest/gtest.h>

#include "stamp/models/autoencoder.h"
#include "stamp/models/image_transformer.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

TEST(ImageConfig, FeedForwardsHaveAWidth) {
  Json json = {{"_class_name", "SanaTransformer2DModel"},
               {"num_attention_heads", 2u},
               {"attention_head_dim", 8u},
               {"mlp_ratio", 0.125}};
  EXPECT_EQ(read_image_transformer_config(ConfigReader(json, "test")).ff_size, 2);
  json["mlp_ratio"] = 0.05;
  EXPECT_HAS(runtime_error_of([&] { read_image_transformer_config(ConfigReader(json, "test")); }),
             "mlp_ratio");
}

}  // namespace
}  // namespace stamp
