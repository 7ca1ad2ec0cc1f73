#include "stamp/io/json.h"

#include <gtest/gtest.h>

#include "tests/io/test_files.h"

namespace stamp {
namespace {

std::string parse_error_of(const std::string& text) {
  return runtime_error_of([&] { parse_json(text, "here"); });
}

TEST(ParseJson, BuildsTheSameValueAsThePlainParser) {
  const std::string text =
      R"({"a": [1, -2, 3.5, true, false, null, "t\u00e9\"x", [], {}], "b": {"c": {"d": [[1], [2]]}}})";
  EXPECT_EQ(parse_json(text, "here"), Json::parse(text));
  EXPECT_EQ(parse_json("7", "here"), Json(7));
  EXPECT_EQ(parse_json("18446744073709551615", "here"), Json(UINT64_MAX));
}

TEST(ParseJson, AcceptsBareInfinityAndNaNOutsideStrings) {
  const Json json =
      parse_json(R"({"a": -Infinity, "b": [Infinity,NaN], "c": "NaN \" Infinity \\"})", "here");
  EXPECT_EQ(json["a"], -1e308);
  EXPECT_EQ(json["b"][0], 1e308);
  EXPECT_TRUE(json["b"][1].is_null());
  EXPECT_EQ(json["c"], "NaN \" Infinity \\");
}

TEST(ParseJson, NamesTheSourceOfSyntaxErrors) {
  for (const char* text : {"", "{", "[1,]", "{\"a\" 1}", "[1.Infinity]", "[NaNNaN]", "\"abc",
                           "1e999", "\"\xff\"", "[\"\\", "NaN\"", "nul", "[1] 2"})
    EXPECT_EQ(parse_error_of(text).find("here: not valid JSON"), 0u) << text;
}

TEST(ParseJson, RefusesDeepNestingDuplicateKeysAndTooManyValues) {
  EXPECT_EQ(parse_error_of(std::string(64, '[') + std::string(64, ']')), "");
  EXPECT_HAS(parse_error_of(std::string(65, '[')), "deeper than 64");
  std::string objects;
  for (int i = 0; i < 1'000'000; ++i) objects += "{\"a\":";
  EXPECT_HAS(parse_error_of(objects), "deeper than 64");
  EXPECT_HAS(parse_error_of(R"({"x": {"a": 1, "b": 2, "a": 3}})"), "'a' occurs twice");
  EXPECT_EQ(parse_error_of(R"([{"a": {"a": 1}}, {"a": 2}])"), "");
  std::string many = "[0";
  for (int i = 0; i < 1 << 23; ++i) many += ",0";
  EXPECT_HAS(parse_error_of(many + "]"), "more than");
}

TEST(ParseJson, KeepsMessagesShort) {
  EXPECT_LT(parse_error_of("[\"" + std::string(100'000, 'x')).size(), 400u);
}

TEST(ReadText, ChecksTheFile) {
  const TempDirectory dir;
  const std::string content("line\n\0\xff", 7);
  EXPECT_EQ(read_text(dir.write("f", content)), content);
  EXPECT_EQ(read_text(dir.write("empty", "")), "");
  EXPECT_NE(
      runtime_error_of([&] { read_text(dir.path() / "f", 6); }).find("at most 6 bytes, got 7"),
      std::string::npos);
  EXPECT_NE(runtime_error_of([&] { read_text(dir.path() / "none"); }).find("none: cannot open"),
            std::string::npos);
  EXPECT_NE(runtime_error_of([&] { read_text(dir.path()); }).find("a directory"),
            std::string::npos);
  EXPECT_NE(
      runtime_error_of([&] { read_json(dir.path() / "empty"); }).find("empty: not valid JSON"),
      std::string::npos);
}

TEST(WriteFileAtomically, ReplacesAndLeavesNoTemporaryFile) {
  const TempDirectory dir;
  write_file_atomically(dir.path() / "f", "first version");
  write_file_atomically(dir.path() / "f", "second");
  EXPECT_EQ(read_text(dir.path() / "f"), "second");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
}

TEST(WriteFileAtomically, CleansUpAfterFailure) {
  const TempDirectory dir;
  std::filesystem::create_directories(dir.path() / "taken" / "inside");
  const auto error_of = [&](const std::filesystem::path& path) {
    return runtime_error_of([&] { write_file_atomically(path, "x"); });
  };
  EXPECT_HAS(error_of(dir.path() / "taken"), "taken: cannot rename");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
  EXPECT_HAS(error_of(dir.path() / "none" / "f"), "No such file or directory");
}

}  // namespace
}  // namespace stamp
