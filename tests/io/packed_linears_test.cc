// Layouts of GPTQ, AWQ and compressed-tensors against the values that they were made from
// (tools/make_packed_fixtures.py, which unpacks each of them with the kernels' own arithmetic).
#include "stamp/io/packed_linears.h"

#include <cstring>

#include "stamp/io/safetensors.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

const std::filesystem::path kData = std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data/packed";
const Json& cases() {
  static const Json json = read_json(kData / "cases.json");
  return json;
}
Json config_of(const std::string& name) { return cases().at(name).at("quantization_config"); }
TensorStore store_of(const std::string& name) {
  return Safetensors::open(kData / (name + ".safetensors"));
}

TEST(PackedLinears, HaveTheValuesThatWerePacked) {
  const Safetensors expected = Safetensors::open(kData / "expected.safetensors");
  ASSERT_GE(cases().size(), 13u);
  for (const auto& [name, entry] : cases().items()) {
    TensorStore store = store_of(name);
    unpack_linears(config_of(name), "config.json", store);
    ASSERT_EQ(store.tensors().size(), 1u) << name;
    const TensorView& weight = store.at("linear.weight");
    EXPECT_EQ(dtype_name(weight.dtype), entry.at("type").get<std::string>()) << name;
    const TensorView& want = expected.at(name);
    ASSERT_EQ(weight.shape, want.shape) << name;
    std::vector<float> values(static_cast<size_t>(want.size()));
    to_f32(weight, 0, values);
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(values[i], want.as<float>()[i]) << name << " " << i;
  }
}

std::string error_of(const std::string& name, const Json& config) {
  TensorStore store = store_of(name);
  return runtime_error_of([&] { unpack_linears(config, "DIR/config.json", store); });
}

TEST(PackedLinears, UnsupportedConfigurations) {
  const auto with = [](const std::string& name, const char* key, const Json& value) {
    Json config = config_of(name);
    config[key] = value;
    return error_of(name, config);
  };
  EXPECT_HAS(with("gptq-zeros", "bits", 3), "'bits' is 3, supported are 4 and 8");
  EXPECT_HAS(with("gptq-zeros", "bits", nullptr), "'bits' is missing");
  EXPECT_HAS(with("gptq-zeros", "checkpoint_format", "marlin"),
             "'checkpoint_format' is \"marlin\"");
  EXPECT_HAS(with("gptq-zeros", "group_size", 0), "'group_size' is 0");
  EXPECT_HAS(with("awq", "bits", 8), "'bits' is 8, supported is 4");
  EXPECT_HAS(with("awq", "version", "gemv"), "'version' is \"gemv\", supported is \"gemm\"");
  EXPECT_HAS(with("awq", "group_size", 64), "do not make 3 groups of 64");
  EXPECT_HAS(with("ct-group", "format", "float-quantized"), "'format' is \"float-quantized\"");
  EXPECT_HAS(with("ct-group", "kv_cache_scheme", Json::object()), "'kv_cache_scheme'");
  Json config = config_of("ct-group");
  config["config_groups"]["group_0"]["input_activations"] = {{"num_bits", 8}};
  EXPECT_HAS(error_of("ct-group", config), "group_0: 'input_activations'");
  config = config_of("ct-group");
  config["config_groups"]["group_0"]["weights"]["type"] = "float";
  EXPECT_HAS(error_of("ct-group", config), "'type' is \"float\", supported is \"int\"");
  EXPECT_HAS(error_of("awq", config_of("ct-group")), "no tensor's name ends in '.weight_packed'");
  EXPECT_FALSE(is_packed_method("fp8"));
}

/// Changes one tensor of a case and returns the error.
std::string damaged(const std::string& name, const std::string& tensor, TensorView view) {
  TensorStore store = store_of(name);
  if (view.data == nullptr)
    store.remove(tensor);
  else
    store.replace(tensor, std::move(view), nullptr);
  return runtime_error_of([&] { unpack_linears(config_of(name), "DIR/config.json", store); });
}

TEST(PackedLinears, DamagedParts) {
  const std::vector<int64_t> zeros(4096, 0);
  const auto view = [&](DType dtype, Shape shape) {
    return TensorView{dtype, shape, zeros.data()};
  };
  for (const char* part : {"qweight", "qzeros", "scales"})
    EXPECT_HAS(
        damaged("gptq-zeros", std::string("linear.") + part, {}),
        part[0] == 'q' && part[1] == 'w' ? "no tensor's name ends" : "there is no tensor 'linear.");
  EXPECT_HAS(damaged("gptq-zeros", "linear.qweight", view(DType::kF32, {12, 24})), "expected I32");
  EXPECT_HAS(damaged("gptq-zeros", "linear.qweight", view(DType::kI32, {288})),
             "expected a matrix");
  EXPECT_HAS(damaged("gptq-zeros", "linear.qweight", view(DType::kI32, {12, 0})), "a matrix");
  EXPECT_HAS(damaged("gptq-zeros", "linear.qzeros", view(DType::kI32, {3, 2})),
             "expected I32 [3, 3]");
  EXPECT_HAS(damaged("gptq-zeros", "linear.scales", view(DType::kI32, {3, 24})),
             "expected F16, BF16");
  EXPECT_HAS(damaged("gptq-zeros", "linear.scales", view(DType::kF16, {3, 16})),
             "expected F16 [3, 24]");
  EXPECT_HAS(damaged("gptq-zeros", "linear.g_idx", view(DType::kI32, {95})), "expected I32 [96]");
  std::vector<int32_t> groups(96, 3);
  const TensorView outside{DType::kI32, {96}, groups.data()};
  EXPECT_HAS(damaged("gptq-zeros", "linear.g_idx", outside), "names group 3 of 3");
  groups.assign(96, -1);
  EXPECT_HAS(damaged("ct-order", "linear.weight_g_idx", outside), "names group -1 of 3");
  for (const Shape& shape :
       {Shape{24, 97}, Shape{24, -1}, Shape{24, int64_t{1} << 62}, Shape{25, 96}}) {
    const TensorView sizes{DType::kI64, {2}, shape.data()};
    EXPECT_HAS(damaged("ct-group", "linear.weight_shape", sizes), "do not hold a weight");
  }
  const int64_t narrow[] = {24, 80};
  EXPECT_HAS(damaged("ct-group", "linear.weight_shape", {DType::kI64, {2}, narrow}),
             "expected I32 [24, 20]");
  EXPECT_HAS(damaged("ct-zeros", "linear.weight_zero_point", view(DType::kI32, {24, 3})),
             "expected I32 [3, 3]");
  const std::vector<float> large(72, 1e6f);
  EXPECT_HAS(damaged("ct-fp32-scales", "linear.weight_scale", {DType::kF32, {24, 3}, large.data()}),
             "does not fit into fp16");
}

}  // namespace
}  // namespace stamp
