#include "stamp/io/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "stamp/io/json.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

std::string container(const std::string& header, const std::string& data, int64_t length = -1) {
  const uint64_t bytes = length < 0 ? header.size() : static_cast<uint64_t>(length);
  std::string result(sizeof bytes, '\0');
  std::memcpy(result.data(), &bytes, sizeof bytes);
  return result + header + data;
}

/// A file whose header is padded to a multiple of 8 bytes.
std::string padded_container(std::string header, const std::string& data) {
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return container(header, data);
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
         offsets + "}";
}

std::string open_error_of(const std::string& content) {
  const TempDirectory dir;
  const auto file = dir.write("f.safetensors", content);
  const std::string error = runtime_error_of([&] { Safetensors::open(file); });
  if (!error.empty()) {
    EXPECT_HAS(error, file.string());
  }
  return error;
}

/// Error for a header with one tensor 't' and 8 bytes of data.
std::string tensor_error_of(const std::string& dtype, const std::string& shape,
                            const std::string& offsets) {
  return open_error_of(
      padded_container("{" + entry("t", dtype, shape, offsets) + "}", std::string(8, 'x')));
}

TEST(Safetensors, ReadsWhatItWrote) {
  const TempDirectory dir;
  const std::vector<float> floats = {1, 2, 3, 4, 5, 6};
  const std::vector<uint8_t> bytes = {7, 8, 9};
  const std::vector<bf16> halves = {0x3f80};
  const auto file = dir.path() / "model.safetensors";
  write_safetensors(file,
                    {{"a.bytes", {DType::kU8, {3}, bytes.data()}},
                     {"b.half", {DType::kBF16, {}, halves.data()}},
                     {"c.floats", {DType::kF32, {2, 3}, floats.data()}},
                     {"d.none", {DType::kF32, {0, 5}, nullptr}}},
                    {{"format", "pt"}});
  const Safetensors model = Safetensors::open_model(dir.path());
  EXPECT_EQ(model.tensors().size(), 4u);
  EXPECT_EQ(model.bytes(), 24 + 3 + 2);
  const TensorView& view = model.at("c.floats");
  EXPECT_EQ(view.shape, (Shape{2, 3}));
  EXPECT_EQ(view.dtype, DType::kF32);
  EXPECT_TRUE(std::equal(floats.begin(), floats.end(), view.as<float>()));
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), model.at("a.bytes").as<uint8_t>()));
  EXPECT_EQ(*model.at("b.half").as<bf16>(), halves[0]);
  EXPECT_EQ(model.at("d.none").size(), 0);
  EXPECT_TRUE(model.contains("b.half"));
  EXPECT_HAS(runtime_error_of([&] { model.at("e"); }), "model.safetensors: there is no tensor 'e'");
}

TEST(Safetensors, WritesGaplessAlignedDataAndMetadata) {
  const TempDirectory dir;
  const std::vector<double> doubles = {1};
  const std::vector<uint8_t> bytes = {7, 8, 9};
  const auto file = dir.path() / "f";
  write_safetensors(
      file, {{"a", {DType::kU8, {3}, bytes.data()}}, {"b", {DType::kF64, {1}, doubles.data()}}},
      {{"key", "value"}});
  const std::string text = read_text(file);
  uint64_t length = 0;
  std::memcpy(&length, text.data(), sizeof length);
  EXPECT_EQ(length % 8, 0u);
  EXPECT_EQ(text.size(), 8 + length + 11);
  const Json header = Json::parse(text.substr(8, length));
  EXPECT_EQ(header["__metadata__"]["key"], "value");
  EXPECT_EQ(header["b"]["data_offsets"], (std::vector<int>{0, 8}));
  EXPECT_EQ(header["a"]["data_offsets"], (std::vector<int>{8, 11}));
  EXPECT_THROW(write_safetensors(file, {{"__metadata__", {DType::kU8, {3}, bytes.data()}}}),
               std::invalid_argument);
}

TEST(Safetensors, RefusesTruncatedFilesAndHeaders) {
  EXPECT_HAS(open_error_of(""), "empty");
  EXPECT_HAS(open_error_of("1234567"), "too short");
  EXPECT_HAS(open_error_of(std::string(8, '\0')), "not valid JSON");
  EXPECT_HAS(open_error_of(container("{}", "", 3)), "header of at most 2 bytes, got 3");
  EXPECT_HAS(open_error_of(container("{}", "", INT64_MAX)), "header of at most");
  EXPECT_HAS(open_error_of(std::string(16, '\xff')), "header of at most");
  EXPECT_HAS(open_error_of(container("[]", "")), "not a JSON object");
  EXPECT_HAS(open_error_of(container("{\"a\":1}", "")), "'a' is not described by an object");
  EXPECT_HAS(open_error_of(container("{\"a\":", "")), "not valid JSON");
  EXPECT_HAS(open_error_of(container(std::string(100000, '['), "")), "nested deeper");
}

TEST(Safetensors, RefusesHeaderBeyondTheLimitOfTheFormat) {
  const TempDirectory dir;
  const auto file = dir.write("f", container("{}", "", 100'000'001));
  std::filesystem::resize_file(file, 200'000'000);  // sparse
  EXPECT_HAS(runtime_error_of([&] { Safetensors::open(file); }), "at most 100000000 bytes");
}

TEST(Safetensors, AcceptsHolesMetadataScalarsAndEmptyTensors) {
  EXPECT_EQ(open_error_of(padded_container("{}", "trailing")), "");
  EXPECT_EQ(open_error_of(padded_container(R"({"__metadata__":{"a":"b"}})", "")), "");
  EXPECT_EQ(tensor_error_of("F32", "[]", "[0,4]"), "");
  EXPECT_EQ(tensor_error_of("F32", "[1]", "[4,8]"), "");
  EXPECT_EQ(tensor_error_of("F32", "[0]", "[8,8]"), "");
}

TEST(Safetensors, RefusesBadTypesShapesAndOffsets) {
  EXPECT_HAS(tensor_error_of("F8_E4M3", "[8]", "[0,8]"), "'t' has unsupported dtype 'F8_E4M3'");
  EXPECT_HAS(tensor_error_of("F32", "[-2]", "[0,8]"), "no valid size");
  EXPECT_HAS(tensor_error_of("F32", "[2.0]", "[0,8]"), "no valid size");
  EXPECT_HAS(tensor_error_of("F32", "[18446744073709551615]", "[0,8]"), "no valid size");
  EXPECT_HAS(tensor_error_of("F32", "2", "[0,8]"), "no list 'shape'");
  EXPECT_HAS(tensor_error_of("F32", "[4611686018427387904,4]", "[0,8]"), "overflows");
  EXPECT_HAS(tensor_error_of("F32", "[2305843009213693952]", "[0,8]"), "overflows");
  EXPECT_HAS(tensor_error_of("F32", "[3]", "[0,8]"), "has 8 bytes, F32 of shape [3] needs 12");
  EXPECT_HAS(tensor_error_of("F32", "[1]", "[0,8]"), "has 8 bytes");
  EXPECT_HAS(tensor_error_of("F32", "[3]", "[0,12]"), "data_offsets [0, 12]");
  EXPECT_HAS(tensor_error_of("F32", "[0]", "[9,9]"), "data_offsets [9, 9]");
  EXPECT_HAS(tensor_error_of("F32", "[2]", "[8,0]"), "data_offsets [8, 0]");
  EXPECT_HAS(tensor_error_of("F32", "[2]", "[0]"), "data_offsets [0]");
  EXPECT_HAS(tensor_error_of("F32", "[2]", "[0,8,8]"), "data_offsets");
  EXPECT_HAS(tensor_error_of("F32", "[2]", "[0,-8]"), "no valid size");
  EXPECT_HAS(tensor_error_of("F32", "[2]", "[0,9223372036854775807]"), "data_offsets");
  EXPECT_HAS(tensor_error_of("F32", "[1]", "[2,6]"), "misaligned for F32");
  EXPECT_HAS(open_error_of(padded_container(R"({"t":{"shape":[1]}})", "")), "has no 'dtype'");
}

TEST(Safetensors, RefusesOverlapsAndDuplicates) {
  const std::string a = entry("a", "U8", "[5]", "[0,5]");
  const std::string data(8, 'x');
  EXPECT_HAS(open_error_of(container("{" + a + "," + entry("b", "U8", "[4]", "[4,8]") + "}", data)),
             "'b' shares bytes with 'a'");
  EXPECT_HAS(open_error_of(container("{" + a + "," + entry("b", "U8", "[1]", "[2,3]") + "}", data)),
             "'b' shares bytes with 'a'");
  EXPECT_HAS(open_error_of(container("{" + a + "," + entry("a", "U8", "[1]", "[5,6]") + "}", data)),
             "'a' occurs twice");
}

/// Model directories with shards "one.safetensors" (tensors a, b) and "two.safetensors" (c).
class Shards : public testing::Test {
 protected:
  void SetUp() override {
    const TensorView byte{DType::kU8, {1}, "x"};
    write_safetensors(dir_.path() / "one.safetensors", {{"a", byte}, {"b", byte}});
    write_safetensors(dir_.path() / "two.safetensors", {{"c", byte}});
  }
  std::string error_of(const std::string& index) {
    dir_.write("model.safetensors.index.json", index);
    return runtime_error_of([&] { Safetensors::open_model(dir_.path()); });
  }
  std::string error_of_shard(const std::string& name) {
    return error_of(Json{{"weight_map", {{"a", name}}}}.dump());
  }
  TempDirectory dir_;
};

TEST_F(Shards, AreJoined) {
  EXPECT_EQ(error_of(R"({"metadata":{"total_size":3},"weight_map":
      {"a":"one.safetensors","b":"one.safetensors","c":"two.safetensors"}})"),
            "");
  const Safetensors model = Safetensors::open_model(dir_.path());
  EXPECT_EQ(model.tensors().size(), 3u);
  EXPECT_HAS(runtime_error_of([&] { model.at("z"); }),
             dir_.path().string() + ": there is no tensor");
}

TEST_F(Shards, MayHoldMoreThanTheIndexSays) {
  EXPECT_EQ(error_of(R"({"weight_map":{"a":"one.safetensors"}})"), "");
}

TEST_F(Shards, MustHoldWhatTheIndexSays) {
  EXPECT_HAS(error_of(R"({"weight_map":{"c":"one.safetensors"}})"), "tensor 'c' is here");
  EXPECT_HAS(error_of(R"({"weight_map":{"c":"one.safetensors","a":"two.safetensors"}})"),
             "is here");
}

TEST_F(Shards, MayNotRepeatTensors) {
  std::filesystem::copy_file(dir_.path() / "one.safetensors", dir_.path() / "three.safetensors");
  EXPECT_HAS(error_of(R"({"weight_map":{"a":"one.safetensors","b":"three.safetensors"}})"),
             "'a' is in another shard");
}

TEST_F(Shards, MustBePlainNamesOfRegularFiles) {
  for (const char* name : {"../one.safetensors", "/etc/passwd", "sub/one.safetensors", "..", "",
                           "one.bin", "model.safetensors.index.json", "a\\b.safetensors"})
    EXPECT_HAS(error_of_shard(name), "plain names ending in .safetensors");
  EXPECT_HAS(error_of_shard(std::string("one\0.safetensors", 16)), "plain names");
  EXPECT_HAS(error_of_shard("gone.safetensors"), "gone.safetensors: cannot open");
  std::filesystem::create_directory(dir_.path() / "dir.safetensors");
  EXPECT_HAS(error_of_shard("dir.safetensors"), "a directory");
  std::filesystem::create_symlink("loop.safetensors", dir_.path() / "loop.safetensors");
  EXPECT_HAS(error_of_shard("loop.safetensors"), "cannot open");
  dir_.write("short.safetensors", "123");
  EXPECT_HAS(error_of_shard("short.safetensors"), "too short");
  std::filesystem::create_symlink("one.safetensors", dir_.path() / "link.safetensors");
  EXPECT_EQ(error_of_shard("link.safetensors"), "");
}

TEST_F(Shards, NeedAWeightMap) {
  for (const char* index : {"{}", "[]", R"({"weight_map":{}})", R"({"weight_map":["a"]})"})
    EXPECT_HAS(error_of(index), "'weight_map'");
  EXPECT_HAS(error_of(R"({"weight_map":{"a":1}})"), "weight_map['a'] is not a file name");
  EXPECT_HAS(error_of("{"), "not valid JSON");
}

TEST(OpenModel, NamesBothFilesWhenThereIsNone) {
  const TempDirectory dir;
  const auto error_of = [&] {
    return runtime_error_of([&] { Safetensors::open_model(dir.path(), "stem"); });
  };
  EXPECT_HAS(error_of(), "stem.safetensors or stem.safetensors.index.json, found neither");
  std::filesystem::create_symlink("nowhere", dir.path() / "stem.safetensors");
  EXPECT_HAS(error_of(), "stem.safetensors: cannot open");
}

}  // namespace
}  // namespace stamp
