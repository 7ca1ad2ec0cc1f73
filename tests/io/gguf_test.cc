#include "stamp/io/gguf.h"

#include "tests/io/gguf_file.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

constexpr uint64_t kHuge = uint64_t{1} << 63;

class GgufFile : public testing::Test {
 protected:
  Gguf open(const GgufBytes& bytes) { return Gguf::open(dir_.write("m.gguf", bytes)); }
  std::string error_of(const GgufBytes& bytes) {
    return runtime_error_of([&] { open(bytes); });
  }
  TempDirectory dir_;
};

TEST_F(GgufFile, ValuesAndTensors) {
  for (const uint32_t version : {2u, 3u}) {
    const Gguf file = open(GgufBytes()
                               .header(2, 6, version)
                               .string_value("name", "a model")
                               .u32_value("count", 7)
                               .key("eps", GgufBytes::kF32)
                               .number(1e-6f)
                               .key("flag", GgufBytes::kBool)
                               .number(uint8_t{1})
                               .key("texts", GgufBytes::kArray)
                               .number(uint32_t{GgufBytes::kString})
                               .number(uint64_t{2})
                               .text("x")
                               .text("y")
                               .key("bytes", GgufBytes::kArray)
                               .number(uint32_t{GgufBytes::kU8})
                               .number(uint64_t{3})
                               .number(uint8_t{1})
                               .number(uint8_t{2})
                               .number(uint8_t{250})
                               .tensor("first", {4, 2}, 0, 0)
                               .tensor("second", {32, 3}, 2, 32)
                               .data(32 + 54));
    EXPECT_EQ(file.metadata(),
              Json({{"name", "a model"}, {"count", 7}, {"eps", 1e-6}, {"flag", true}}));
    EXPECT_EQ(file.array("texts"), Json({"x", "y"}));
    EXPECT_EQ(file.array("bytes"), Json({1, 2, 250}));
    EXPECT_FALSE(file.has_array("name"));
    EXPECT_HAS(runtime_error_of([&] { file.array("name"); }), "there is no array 'name'");
    ASSERT_EQ(file.tensors().size(), 2u);
    EXPECT_EQ(file.tensors().at("first").shape, (Shape{2, 4}));
    const TensorView& second = file.tensors().at("second");
    EXPECT_EQ(second.shape, (Shape{3, 32}));
    EXPECT_EQ(second.dtype, DType::kQ4_0);
    EXPECT_EQ(static_cast<const std::byte*>(second.data) + second.bytes(),
              file.file()->bytes().data() + file.file()->bytes().size());
  }
}

TEST_F(GgufFile, EveryTruncationIsAnError) {
  const GgufBytes whole = GgufBytes()
                              .header(1, 2)
                              .string_value("general.name", "x")
                              .key("list", GgufBytes::kArray)
                              .number(uint32_t{GgufBytes::kString})
                              .number(uint64_t{1})
                              .text("token")
                              .tensor("t", {8}, 0, 0)
                              .data(32);
  EXPECT_EQ(error_of(whole), "");
  for (size_t size = 1; size < whole.content().size(); ++size) {
    const auto file = dir_.write("cut.gguf", std::string_view(whole.content()).substr(0, size));
    const std::string error = runtime_error_of([&] { Gguf::open(file); });
    EXPECT_HAS(error, "cut.gguf: ");
  }
}

TEST_F(GgufFile, AChangedByteNeverCrashes) {
  const GgufBytes whole = GgufBytes()
                              .header(2, 2)
                              .u32_value("general.alignment", 64)
                              .key("list", GgufBytes::kArray)
                              .number(uint32_t{GgufBytes::kString})
                              .number(uint64_t{1})
                              .text("token")
                              .tensor("t", {8}, 0, 0)
                              .tensor("u", {32, 2}, 8, 64)
                              .data(64 + 68, 64);
  EXPECT_EQ(error_of(whole), "");
  int refused = 0;
  for (size_t i = 0; i < 200; ++i)
    for (const char value : {'\0', '\x01', '\x7f', '\xff'}) {
      std::string changed = whole.content();
      changed[i] = value;
      const auto file = dir_.write("changed.gguf", changed);
      refused += !runtime_error_of([&] {
                    const Gguf read = Gguf::open(file);
                    if (read.has_array("list")) read.array("list");
                  }).empty();
    }
  EXPECT_GT(refused, 300);
}

TEST_F(GgufFile, Headers) {
  EXPECT_HAS(error_of(GgufBytes().header(0, 0, 1)), "GGUF version 1, supported are 2 and 3");
  EXPECT_HAS(error_of(GgufBytes().header(0, 0, 0x03000000)), "big-endian");
  EXPECT_HAS(runtime_error_of([&] { Gguf::open(dir_.write("n.gguf", "GGML this is no GGUF")); }),
             "expected a GGUF file");
  EXPECT_HAS(runtime_error_of([&] { Gguf::open(dir_.path() / "none.gguf"); }), "cannot open");
  EXPECT_HAS(error_of(GgufBytes().header(kHuge, 0)), "tensors do not fit into the 0 bytes");
  EXPECT_HAS(error_of(GgufBytes().header(1 << 19, 0).data(1 << 24)),
             "524288 tensors, supported are");
  EXPECT_HAS(error_of(GgufBytes().header(0, kHuge)), "values do not fit into the 0 bytes");
}

TEST_F(GgufFile, Values) {
  const auto one = [](const char* key, uint32_t type) {
    return std::move(GgufBytes().header(0, 1).key(key, type));
  };
  EXPECT_HAS(error_of(one("k", 13).number(uint64_t{0})), "'k' has the unknown value type 13");
  EXPECT_HAS(error_of(one("k", GgufBytes::kString).number(kHuge)),
             "'k' has a length of 9223372036854775808 bytes, 0 are left");
  EXPECT_HAS(error_of(one("k", GgufBytes::kString).text("\xff\xfe")), "'k' is not valid UTF-8");
  EXPECT_HAS(error_of(one("\xff", GgufBytes::kString).text("")), "'?' is not valid UTF-8");
  EXPECT_HAS(error_of(one("k", GgufBytes::kF32).number(INFINITY)), "'k' is not a finite number");
  const auto array = [&](uint32_t type, uint64_t count) {
    return std::move(one("k", GgufBytes::kArray).number(type).number(count));
  };
  EXPECT_HAS(error_of(array(GgufBytes::kU8, kHuge)), "an array of 9223372036854775808 values");
  EXPECT_HAS(error_of(array(GgufBytes::kString, 1u << 30)), "which 0 bytes cannot hold");
  EXPECT_HAS(error_of(array(GgufBytes::kArray, 1).number(uint64_t{9}).number(uint64_t{1})),
             "unsupported value type 9");
  EXPECT_HAS(error_of(array(77, 0)), "unsupported value type 77");
  EXPECT_HAS(error_of(array(GgufBytes::kString, 2).text("a").number(kHuge)), "'k' has a length");
  EXPECT_HAS(error_of(GgufBytes().header(0, 2).u32_value("k", 1).u32_value("k", 2)),
             "'k' stands twice");
  const Gguf file = open(array(GgufBytes::kU8, (1u << 22) + 1).data((1u << 22) + 1));
  EXPECT_HAS(runtime_error_of([&] { file.array("k"); }), "holds 4194305 values");
}

TEST_F(GgufFile, Tensors) {
  const auto one = [](std::initializer_list<uint64_t> sizes, uint32_t type, uint64_t offset,
                      size_t bytes = 64) {
    return std::move(GgufBytes().header(1, 0).tensor("t", sizes, type, offset).data(bytes));
  };
  EXPECT_EQ(error_of(one({16}, 0, 0)), "");
  EXPECT_HAS(error_of(one({17}, 0, 0)), "'t' has 68 bytes at 0 of the data, which are 64 bytes");
  EXPECT_HAS(error_of(one({8}, 0, 64)), "is the file complete?");
  EXPECT_HAS(error_of(one({8}, 0, ~uint64_t{31})), "is the file complete?");
  EXPECT_HAS(error_of(one({8}, 0, 4)), "misaligned: expected a multiple of 32");
  EXPECT_HAS(error_of(one({kHuge}, 0, 0)), "which is empty or overflows");
  EXPECT_HAS(error_of(one({0}, 0, 0)), "which is empty or overflows");
  EXPECT_HAS(error_of(one({1u << 31, 1u << 31, 1u << 31}, 0, 0)), "which is empty or overflows");
  EXPECT_HAS(error_of(one({uint64_t{1} << 62}, 0, 0)), "which overflows");
  EXPECT_HAS(error_of(one({33, 2}, 8, 0)), "rows of 33 elements, Q8_0 needs multiples of 32");
  EXPECT_HAS(error_of(one({128, 2}, 12, 0)), "Q4_K needs multiples of 256");
  EXPECT_HAS(error_of(one({32}, 20, 0)), "unsupported type IQ4_NL; supported are F32, F16, Q4_0");
  EXPECT_HAS(error_of(one({32}, 4, 0)), "unknown type 4");
  EXPECT_HAS(error_of(one({1, 1, 1, 1, 1}, 0, 0)), "has 5 dimensions");
  EXPECT_HAS(error_of(one({}, 0, 0).data(64)), "has 0 dimensions");
  const auto two = [](const char* name, uint64_t offset) {
    return std::move(
        GgufBytes().header(2, 0).tensor("t", {16}, 0, 0).tensor(name, {8}, 0, offset).data(96));
  };
  EXPECT_EQ(error_of(two("u", 64)), "");
  EXPECT_HAS(error_of(two("t", 64)), "tensor 't' stands twice");
  EXPECT_HAS(error_of(two("u", 32)), "tensor 'u' shares bytes with 't'");
}

TEST_F(GgufFile, Alignment) {
  const auto with = [&](uint32_t alignment) {
    return std::move(GgufBytes()
                         .header(1, 1)
                         .u32_value("general.alignment", alignment)
                         .tensor("t", {8}, 0, 0)
                         .data(256));
  };
  EXPECT_EQ(error_of(with(64)), "");
  for (const uint32_t bad : {0u, 1u, 24u, 0x80000000u})
    EXPECT_HAS(error_of(with(bad)), "'general.alignment' is " + std::to_string(bad));
}

TEST_F(GgufFile, IsRecognised) {
  EXPECT_TRUE(is_gguf(dir_.write("without_suffix", GgufBytes().header(0, 0))));
  EXPECT_TRUE(is_gguf(dir_.path() / "missing.gguf"));
  EXPECT_FALSE(is_gguf(dir_.path()));
  EXPECT_FALSE(is_gguf(dir_.path() / "missing"));
  EXPECT_FALSE(is_gguf(dir_.write("other", "text")));
  std::filesystem::create_directory(dir_.path() / "folder.gguf");
  EXPECT_FALSE(is_gguf(dir_.path() / "folder.gguf"));
}

}  // namespace
}  // namespace stamp
