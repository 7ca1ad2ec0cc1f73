#include "stamp/core/communicator.h"

#include <gtest/gtest.h>

#include "stamp/core/bytes.h"
#include "stamp/core/progress.h"

namespace stamp {
namespace {

// Jobs of several processes are tested by tests/cli/processes.sh.
TEST(Communicator, AProcessAloneIsTheFirstAndTheOnly) {
  EXPECT_EQ(communicator().rank(), 0);
  EXPECT_EQ(communicator().size(), 1);
  EXPECT_TRUE(is_first_process());
  std::vector<float> values = {1, -2};
  communicator().sum(values);
  communicator().maximum(values);
  EXPECT_EQ(values, (std::vector<float>{1, -2}));
  EXPECT_EQ(communicator().gather("own"), (std::vector<std::string>{"own"}));
  EXPECT_THROW(communicator().receive(1), std::runtime_error);
}

TEST(Communicator, ItemsComeInOrder) {
  const auto items =
      share_items(5, [](int64_t i) { return std::string(static_cast<size_t>(i), 'x'); });
  ASSERT_EQ(items.size(), 5u);
  for (size_t i = 0; i < items.size(); ++i) EXPECT_EQ(items[i].size(), i);
  EXPECT_TRUE(share_items(0, [](int64_t) { return std::string(); }).empty());
}

TEST(Communicator, AnInterruptionIsOneOfTheJob) {
  EXPECT_FALSE(job_interrupted());
  interrupt();
  EXPECT_TRUE(job_interrupted());
  clear_interrupt();
}

TEST(Bytes, ReadsWhatWasWritten) {
  ByteWriter writer;
  writer.put(int64_t{7});
  writer.put_all(std::span<const char>(std::string("text")));
  writer.put_all(std::span<const double>(std::vector<double>{1.5, -2}));
  writer.put_all(std::span<const float>());
  const std::string bytes = writer.take();
  ByteReader reader(bytes);
  EXPECT_EQ(reader.get<int64_t>(), 7);
  EXPECT_EQ(reader.get_all<std::string>(), "text");
  EXPECT_EQ(reader.get_all<std::vector<double>>(), (std::vector<double>{1.5, -2}));
  EXPECT_TRUE(reader.get_all<std::vector<float>>().empty());
  EXPECT_TRUE(reader.at_end());
}

TEST(Bytes, RefusesToReadBeyondTheEnd) {
  ByteWriter writer;
  writer.put(size_t{1} << 62);  // values that follow
  const std::string bytes = writer.take();
  EXPECT_THROW(ByteReader(bytes).get_all<std::vector<double>>(), std::runtime_error);
  EXPECT_THROW(ByteReader("abc").get<int64_t>(), std::runtime_error);
}

}  // namespace
}  // namespace stamp
