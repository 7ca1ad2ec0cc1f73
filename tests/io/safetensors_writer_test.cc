#include "stamp/io/safetensors_writer.h"

#include "stamp/io/json.h"
#include "stamp/io/safetensors.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

std::string_view text_of(const std::vector<float>& values, size_t first, size_t count) {
  return {reinterpret_cast<const char*>(values.data() + first), count * sizeof(float)};
}

TEST(SafetensorsWriter, PiecesInAnyOrderGiveTheSameFile) {
  const TempDirectory dir;
  const std::vector<float> values = {1, 2, 3, 4};
  const std::map<std::string, TensorView> tensors = {{"f", {DType::kF32, {2, 2}, values.data()}},
                                                     {"b", {DType::kU8, {3}, "xyz"}}};
  write_safetensors(dir.path() / "whole", tensors);
  SafetensorsWriter writer(dir.path() / "pieces", tensors);
  writer.write("f", 8, text_of(values, 2, 2));
  writer.write("b", 0, "xyz");
  writer.write("f", 0, text_of(values, 0, 2));
  EXPECT_FALSE(std::filesystem::exists(dir.path() / "pieces"));
  writer.commit();
  EXPECT_EQ(read_text(dir.path() / "pieces"), read_text(dir.path() / "whole"));
  EXPECT_EQ(SafetensorsWriter::file_bytes(tensors),
            static_cast<int64_t>(std::filesystem::file_size(dir.path() / "whole")));
}

TEST(SafetensorsWriter, RefusesPiecesOutsideAndUnfinishedFiles) {
  const TempDirectory dir;
  {
    SafetensorsWriter writer(dir.path() / "f", {{"b", {DType::kU8, {3}, nullptr}}});
    EXPECT_THROW(writer.write("c", 0, "x"), std::invalid_argument);
    EXPECT_THROW(writer.write("b", 1, "xyz"), std::invalid_argument);
    EXPECT_THROW(writer.write("b", -1, "x"), std::invalid_argument);
    EXPECT_THROW(writer.write("b", 4, ""), std::invalid_argument);
    writer.write("b", 0, "xy");
    EXPECT_THROW(writer.commit(), std::invalid_argument);
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace stamp
