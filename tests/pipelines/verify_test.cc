#include "stamp/pipelines/verify.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "stamp/io/safetensors.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;
using Status = VerifyCase::Status;

const fs::path kOracles = fs::path(STAMP_SOURCE_DIR) / "tests/data/oracles";
constexpr const char* kModel = "llm/llama_hd8_all_biases";

/// A directory of its own for every test, removed at the end.
class Verify : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "stamp-verify-test-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { fs::remove_all(root_); }
  fs::path copy_case(const std::string& name, const std::string& as) {
    fs::create_directories((root_ / as).parent_path());
    fs::copy(kOracles / name, root_ / as, fs::copy_options::recursive);
    return root_ / as;
  }
  VerifyCase only_case() {
    const std::vector<VerifyCase> cases = verify({.directory = root_, .only = {}});
    EXPECT_EQ(cases.size(), 1u);
    return cases.at(0);
  }
  fs::path root_;
};

void write(const fs::path& file, const std::string& content) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << content;
}

/// Rewrites one element of a tensor of an oracle.
template <class T>
void change(const fs::path& file, const std::string& tensor, int64_t index, T value) {
  const std::string temporary = file.string() + ".new";
  {
    const Safetensors original = Safetensors::open(file);
    std::map<std::string, TensorView> tensors = original.tensors();
    TensorView& view = tensors.at(tensor);
    std::vector<T> values(view.as<T>(), view.as<T>() + view.size());
    values.at(static_cast<size_t>(index)) = value;
    view.data = values.data();
    write_safetensors(temporary, tensors);
  }
  fs::rename(temporary, file);
}

const VerifyCase& named(const std::vector<VerifyCase>& cases, const std::string& name) {
  const auto found = std::find_if(cases.begin(), cases.end(),
                                  [&](const VerifyCase& item) { return item.name == name; });
  if (found == cases.end()) throw std::runtime_error("no case " + name);
  return *found;
}

TEST_F(Verify, EveryBundledCasePasses) {
  const std::vector<VerifyCase> cases = verify({.directory = kOracles, .only = {}});
  EXPECT_EQ(cases.size(), 30u);
  for (const VerifyCase& item : cases) {
    EXPECT_EQ(item.status, Status::kPassed) << item.name << ": " << item.message;
  }
  EXPECT_GT(named(cases, kModel).worst_error, 0);
  EXPECT_LE(named(cases, kModel).worst_error, 2e-5);
  EXPECT_EQ(named(cases, "transforms/haar").tolerance, 1e-5);
}

TEST_F(Verify, SelectsByPrefix) {
  const auto cases = verify({.directory = kOracles, .only = {"tok/", "transforms/dct"}});
  EXPECT_EQ(cases.size(), 3u);
  EXPECT_THROW(verify({.directory = kOracles, .only = {"none"}}), std::invalid_argument);
}

TEST_F(Verify, TakesTheFolderOfACaseToo) {
  const auto cases = verify({.directory = kOracles / kModel, .only = {}});
  ASSERT_EQ(cases.size(), 1u);
  EXPECT_EQ(cases[0].name, kModel);
  EXPECT_EQ(cases[0].status, Status::kPassed);
}

TEST_F(Verify, NothingToVerifyIsAnError) {
  EXPECT_THROW(verify({.directory = root_, .only = {}}), std::runtime_error);
  EXPECT_THROW(verify({.directory = root_ / "absent", .only = {}}), std::runtime_error);
}

TEST_F(Verify, NamesTheWrongTensor) {
  const fs::path oracle = copy_case(kModel, kModel) / "oracle.safetensors";
  change<float>(oracle, "layer_1_out", 3, 1e6f);
  const VerifyCase result = only_case();
  EXPECT_EQ(result.status, Status::kFailed);
  EXPECT_EQ(result.worst_tensor, "layer_1_out");
  EXPECT_NE(result.message.find("layer_1_out"), std::string::npos) << result.message;
}

TEST_F(Verify, NanIsNeverClose) {
  const fs::path oracle = copy_case(kModel, kModel) / "oracle.safetensors";
  change<float>(oracle, "logits", 0, std::nanf(""));
  EXPECT_EQ(only_case().status, Status::kFailed);
}

TEST_F(Verify, IdsMustBeExact) {
  for (const char* name : {"greedy_ids", "reppen13_ids", "stop_output_ids"}) {
    fs::remove_all(root_ / "llm");
    const fs::path oracle = copy_case(kModel, kModel) / "oracle.safetensors";
    change<int64_t>(oracle, name, 2, 0);
    const VerifyCase result = only_case();
    EXPECT_EQ(result.status, Status::kFailed);
    EXPECT_NE(result.message.find(name), std::string::npos) << result.message;
  }
}

TEST_F(Verify, TheOtherSpellingOfTheConfigCounts) {
  const fs::path file = copy_case(kModel, kModel) / "ckpt/config_alt.json";
  Json config = read_json(file);
  config["rms_norm_eps"] = 0.3;
  write(file, config.dump());
  const VerifyCase result = only_case();
  EXPECT_EQ(result.status, Status::kFailed);
  EXPECT_NE(result.message.find("config_alt.json"), std::string::npos) << result.message;
}

TEST_F(Verify, TokenizerStringsMustBeExact) {
  const fs::path file = copy_case("tok/qwen2_small", "tok/qwen2_small") / "cases.json";
  Json cases = read_json(file);
  cases["cases"][10]["decoded"] = "something else";
  write(file, cases.dump());
  const VerifyCase result = only_case();
  EXPECT_EQ(result.status, Status::kFailed);
  EXPECT_NE(result.message.find("string 10 decoded"), std::string::npos) << result.message;
}

TEST_F(Verify, WhatThisBuildLacksIsUnsupported) {
  write(root_ / "video/any/oracle.safetensors", "");
  write(root_ / "llm/other/oracle.safetensors", "");
  write(root_ / "llm/other/ckpt/config.json", R"({"architectures": ["MambaForCausalLM"]})");
  const std::vector<float> zero(4);
  const TensorView view{DType::kF32, {4, 1}, zero.data()};
  write_safetensors(root_ / "transforms.safetensors", {{"x_4", view},
                                                       {"dct_4", view},
                                                       {"fft_4", view},
                                                       {"haar2d1_2x2_cQ", view},
                                                       {"dwt_db44_4", view}});
  const auto found = verify({.directory = root_, .only = {}});
  EXPECT_EQ(found.size(), 6u);
  for (const VerifyCase& item : found) {
    EXPECT_EQ(item.status, item.name == "transforms/dct" ? Status::kPassed : Status::kUnsupported)
        << item.name << ": " << item.message;
  }
  for (const char* name :
       {"transforms/fft", "transforms/haar2d1_2x2_cQ", "transforms/dwt_db44_4"}) {
    EXPECT_NO_THROW(named(found, name));
  }
}

TEST_F(Verify, SylvestersOrderChecksTheHadamardRotation) {
  const std::vector<float> x = {1, 2, 3, 5};
  std::vector<float> want = {5.5f, -1.5f, -2.5f, 0.5f};  // H_4 x / 2
  const auto write_case = [&] {
    write_safetensors(root_ / "transforms.safetensors",
                      {{"x_4", {DType::kF32, {4, 1}, x.data()}},
                       {"wht_nat_4", {DType::kF32, {4, 1}, want.data()}}});
  };
  write_case();
  EXPECT_EQ(only_case().status, Status::kPassed);
  std::swap(want[1], want[2]);  // sequency order is another one
  write_case();
  EXPECT_EQ(only_case().status, Status::kFailed);
}

TEST_F(Verify, BadCasesDoNotStopTheOthers) {
  copy_case("tok/llama3_small", "tok/good");
  write(root_ / "llm/empty/oracle.safetensors", "");
  write(root_ / "llm/no_list/oracle.safetensors", "");
  write(root_ / "llm/no_list/ckpt/config.json", R"({"architectures": 7})");
  write(copy_case(kModel, "llm/cut") / "oracle.safetensors", "\x10\0\0\0\0\0\0\0{\"logits\"");
  write(root_ / "tok/wrong_types/oracle.safetensors", "");
  write(root_ / "tok/wrong_types/cases.json", R"({"kind": "llama3", "cases": {"a": 1}})");
  write(root_ / "a/transforms.safetensors", "garbage");
  fs::create_symlink("nowhere", root_ / "llm/empty/oracle2");
  fs::create_directories(root_ / "llm/dangling");
  fs::create_symlink("nowhere", root_ / "llm/dangling/oracle.safetensors");
  fs::create_directory_symlink(root_, root_ / "llm/dangling/cycle");
  const auto cases = verify({.directory = root_, .only = {}});
  EXPECT_EQ(cases.size(), 7u);
  for (const VerifyCase& item : cases) {
    EXPECT_EQ(item.status, item.name == "tok/good" ? Status::kPassed : Status::kFailed)
        << item.name;
    EXPECT_EQ(item.message.empty(), false) << item.name;
  }
}

TEST_F(Verify, MissingAndMisshapenTensorsFail) {
  const fs::path oracle = copy_case(kModel, kModel) / "oracle.safetensors";
  const std::vector<int64_t> ids(6, 1);
  write_safetensors(oracle, {{"input_ids", {DType::kI64, {2, 3}, ids.data()}}});
  EXPECT_EQ(only_case().status, Status::kFailed);
  write_safetensors(oracle, {{"input_ids", {DType::kI64, {6}, ids.data()}},
                             {"rope_inv_freq", {DType::kI64, {6}, ids.data()}}});
  EXPECT_EQ(only_case().status, Status::kFailed);
}

TEST_F(Verify, HostileShapesFailQuietly) {
  const std::vector<int64_t> ids(8, int64_t{1} << 40);
  const std::vector<float> zeros(16);
  const auto file = [&](const Shape& shape) {
    return std::map<std::string, TensorView>{{"rope_inv_freq", {DType::kF32, {4}, zeros.data()}},
                                             {"logits", {DType::kF32, {16}, zeros.data()}},
                                             {"input_ids", {DType::kI64, shape, ids.data()}}};
  };
  const fs::path oracle = copy_case(kModel, kModel) / "oracle.safetensors";
  for (const Shape& shape : {Shape{int64_t{1} << 36, 0}, {0, 5}, {1, 8}, {8}, {1, 0}}) {
    write_safetensors(oracle, file(shape));
    EXPECT_EQ(only_case().status, Status::kFailed) << to_string(shape);
  }
  fs::remove_all(root_ / "llm");
  write_safetensors(root_ / "transforms.safetensors",
                    {{"x_4", {DType::kF32, {0, 4}, zeros.data()}},
                     {"dct_4", {DType::kF32, {0, 4}, zeros.data()}}});
  EXPECT_EQ(only_case().status, Status::kFailed);
  write_safetensors(root_ / "transforms.safetensors",
                    {{"x_4", {DType::kF32, {4, 4}, zeros.data()}},
                     {"haar999999999_4", {DType::kF32, {4, 4}, zeros.data()}}});
  EXPECT_EQ(only_case().status, Status::kPassed);  // levels are capped
}

TEST(VerifyOutput, TellsPassedFailedAndUnsupported) {
  std::vector<VerifyCase> cases(3);
  cases[0] = {"llm/a", Status::kPassed, 1.5e-6, 2e-5, "logits", ""};
  cases[1] = {"tok/bad", Status::kFailed, 0, 0, "", "string 3 ids: at 0 expected 1, got 2"};
  cases[2].name = "pipe/sana";
  const std::string text = to_text(cases);
  EXPECT_NE(text.find("llm/a      passed       1.5e-06 of 2e-05 at logits\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("tok/bad    FAILED       string 3 ids"), std::string::npos) << text;
  EXPECT_NE(text.find("1 passed, 1 failed, 1 unsupported\n"), std::string::npos) << text;
  const Json json = to_json(cases);
  EXPECT_EQ(json.at("failed"), 1);
  EXPECT_EQ(json.at("cases").at(1).at("status"), "failed");
  EXPECT_EQ(json.at("cases").at(0).at("worst_tensor"), "logits");
}

}  // namespace
}  // namespace stamp
