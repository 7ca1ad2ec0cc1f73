#include "stamp/nn/embedding.h"

#include <gtest/gtest.h>

#include "random_matrix.h"
#include "stamp/quant/weight_quant.h"

namespace stamp {
namespace {

TEST(Embedding, WidensRows) {
  const std::vector<bf16> table = {0x3f80, 0x4000, 0x4040, 0x4080};  // 1 2 / 3 4
  const Embedding embedding({DType::kBF16, {2, 2}, table.data()}, 16);
  const std::vector<int32_t> ids = {1, 0, 1};
  Matrix out(3, 2);
  embedding.gather(ids, out.view());
  EXPECT_EQ(std::vector<float>(out.data(), out.data() + 6), (std::vector<float>{3, 4, 1, 2, 3, 4}));
}

TEST(Embedding, RejectsIdsOutOfRange) {
  const Matrix table(4, 2);
  Matrix out(1, 2);
  for (const int32_t id : {-1, 4, 2147483647}) {
    const std::vector<int32_t> ids = {id};
    EXPECT_THROW(Embedding(view_of(table), 16).gather(ids, out.view()), std::invalid_argument)
        << id;
  }
}

TEST(Embedding, EightBitRowsEqualTheStoredTable) {
  Rng rng(3);
  const Matrix table = random_matrix(rng, 9, 40);
  const StoredWeightBuffer stored = quantize_weight(table.view(), {.bits = 8});
  const std::vector<int32_t> ids = {8, 0, 3, 3};
  Matrix rounded(4, 40), read(4, 40);
  Embedding(view_of(table), 8).gather(ids, rounded.view());
  Embedding(stored.view).gather(ids, read.view());
  EXPECT_LT(relative_error(read.view(), rounded.view()), 1e-7);
  Matrix exact(4, 40);
  Embedding(view_of(table), 16).gather(ids, exact.view());
  EXPECT_GT(relative_error(rounded.view(), exact.view()), 1e-4);
}

}  // namespace
}  // namespace stamp
