#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

#include "stamp/io/config_reader.h"
#include "stamp/io/gguf_model.h"

namespace stamp {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 20;
constexpr const char* kRopeFactors = "rope_freqs.weight";

struct Architecture {
  std::string_view name, model_class;
};
constexpr Architecture kArchitectures[] = {{"llama", "LlamaForCausalLM"},
                                           {"qwen2", "Qwen2ForCausalLM"}};

class ConfigWriter {
 public:
  explicit ConfigWriter(const Gguf& file)
      : file_(file), metadata_(file.metadata(), file.path().string()) {}

  Json write() {
    set_architecture();
    set_sizes();
    set_rope();
    set_tokens();
    return std::move(config_);
  }

 private:
  std::string key(std::string_view name) const { return fmt::format("{}.{}", architecture_, name); }

  std::optional<int64_t> size(const char* name) const {
    return metadata_.integer(key(name), 1, kMaxSize);
  }
  int64_t required_size(const char* name) const {
    return metadata_.required(size(name), key(name));
  }

  void set_architecture() {
    const char* name = "general.architecture";
    architecture_ = metadata_.required(metadata_.text(name), name);
    for (const Architecture& known : kArchitectures)
      if (known.name == architecture_) config_["architectures"] = {known.model_class};
    if (config_.empty()) metadata_.reject(name, R"(supported are "llama" and "qwen2")");
    config_["model_type"] = architecture_;
    config_["hidden_act"] = "silu";
    if (metadata_.integer(key("expert_count"), 0, kMaxSize).value_or(0) > 0)
      metadata_.reject(key("expert_count"), "models of experts are unsupported");
  }

  void set_sizes() {
    heads_ = required_size("attention.head_count");
    config_["num_attention_heads"] = heads_;
    config_["num_key_value_heads"] = size("attention.head_count_kv").value_or(heads_);
    config_["hidden_size"] = required_size("embedding_length");
    config_["intermediate_size"] = required_size("feed_forward_length");
    config_["num_hidden_layers"] = required_size("block_count");
    const int64_t positions = metadata_.required(
        metadata_.integer(key("context_length"), 1, int64_t{1} << 40), key("context_length"));
    config_["max_position_embeddings"] = std::min(positions, kMaxSize);
    config_["vocab_size"] = vocabulary();
    const char* epsilon = "attention.layer_norm_rms_epsilon";
    config_["rms_norm_eps"] =
        metadata_.required(metadata_.number(key(epsilon), 0.0, 1.0), key(epsilon));
    if (metadata_.integer(key("attention.sliding_window"), 0, kMaxSize).value_or(positions) <
        positions)
      metadata_.reject(key("attention.sliding_window"), "sliding windows are unsupported");
    set_head_dim();
    config_["tie_word_embeddings"] = !file_.tensors().contains("output.weight");
    config_["attention_bias"] =
        architecture_ == "llama" && file_.tensors().contains("blk.0.attn_q.bias");
    config_["mlp_bias"] = file_.tensors().contains("blk.0.ffn_gate.bias");
  }

  void set_head_dim() {
    const int64_t hidden = config_["hidden_size"].get<int64_t>();
    head_dim_ = size("attention.key_length").value_or(hidden / heads_);
    if (size("attention.value_length").value_or(head_dim_) != head_dim_)
      metadata_.reject(key("attention.value_length"),
                       fmt::format("supported is {}, that of keys", head_dim_));
    if (size("rope.dimension_count").value_or(head_dim_) != head_dim_)
      metadata_.reject(key("rope.dimension_count"),
                       fmt::format("supported is {}, all of a head", head_dim_));
    config_["head_dim"] = head_dim_;
  }

  int64_t vocabulary() const {
    const auto table = file_.tensors().find("token_embd.weight");
    if (table == file_.tensors().end() || table->second.shape.size() != 2)
      throw_runtime("{}: there is no matrix 'token_embd.weight'", metadata_.where());
    return table->second.shape[0];
  }

  void set_rope() {
    config_["rope_theta"] = metadata_.number(key("rope.freq_base"), 1.0, 1e15).value_or(10000.0);
    set_rope_scaling();
    const auto found = file_.tensors().find(kRopeFactors);
    if (found == file_.tensors().end()) return;
    if (config_.contains("rope_scaling"))
      metadata_.reject(key("rope.scaling.type"),
                       fmt::format("supported beside the tensor {} is \"none\"", kRopeFactors));
    config_["rope_scaling"] = llama3_scaling(found->second);
  }

  /// As llama.cpp reads it: "linear" unless the file says otherwise, a factor of 0 is none.
  void set_rope_scaling() {
    const std::string type = metadata_.text(key("rope.scaling.type")).value_or("linear");
    const auto older = metadata_.number(key("rope.scale_linear"), 0.0, 1e6);
    const double given =
        metadata_.number(key("rope.scaling.factor"), 0.0, 1e6).value_or(older.value_or(1.0));
    const double factor = given == 0.0 ? 1.0 : given;
    if (type == "yarn")
      config_["rope_scaling"] = yarn_scaling(factor);
    else if (type == "linear" && factor != 1.0)
      config_["rope_scaling"] = {{"rope_type", "linear"}, {"factor", factor}};
    else if (type != "linear" && type != "none")
      metadata_.reject(key("rope.scaling.type"), R"(supported are "none", "linear" and "yarn")");
  }

  /// llama.cpp multiplies what YaRN gives to cos and sin by the file's attn_factor.
  Json yarn_scaling(double factor) const {
    for (const char* name : {"rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor"})
      if (metadata_.number(key(name), -1e6, 1e6).value_or(1.0) != 1.0)
        metadata_.reject(key(name), "supported is 1");
    const char* log_multiplier = "rope.scaling.yarn_log_multiplier";
    if (metadata_.number(key(log_multiplier), -1e6, 1e6).value_or(0.0) != 0.0)
      metadata_.reject(key(log_multiplier), "supported is 0");
    const double own = metadata_.number(key("rope.scaling.attn_factor"), 1e-2, 1e2).value_or(1.0);
    const double magnitude = factor <= 1 ? 1.0 : 0.1 * std::log(factor) + 1.0;
    Json scaling = {{"rope_type", "yarn"},
                    {"factor", factor},
                    {"attention_factor", own * magnitude},
                    {"original_max_position_embeddings",
                     size("rope.scaling.original_context_length")
                         .value_or(config_["max_position_embeddings"].get<int64_t>())}};
    for (const char* name : {"beta_fast", "beta_slow"})
      if (const auto beta = metadata_.number(key("rope.scaling.yarn_") + name, 1e-6, 1e6))
        scaling[name] = *beta;
    return scaling;
  }

  /// Divisor of a frequency under Llama 3 scaling with low_freq_factor 1 and high_freq_factor 4.
  static double llama3_divisor(double frequency, double factor, double context) {
    const double turns = context * frequency / (2 * std::numbers::pi);
    if (turns > 4) return 1;
    if (turns < 1) return factor;
    const double share = (turns - 1) / 3;
    return 1 / ((1 - share) / factor + share);
  }

  /// The file has divisors instead of the settings that they were made from: those are sought.
  Json llama3_scaling(const TensorView& tensor) const {
    if (tensor.dtype != DType::kF32 || tensor.shape != Shape{head_dim_ / 2})
      throw_runtime("{}: tensor '{}': expected F32 [{}], got {} {}", metadata_.where(),
                    kRopeFactors, head_dim_ / 2, dtype_name(tensor.dtype), to_string(tensor.shape));
    std::vector<float> divisors(static_cast<size_t>(tensor.size()));
    to_f32(tensor, 0, divisors);
    const double factor = divisors.back();
    const double theta = config_["rope_theta"].get<double>();
    for (const int64_t context : {8192, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 16384, 32768,
                                  65536, 131072, 262144, 524288, 1048576}) {
      bool same = factor >= 1e-3 && factor <= 1e6;
      for (size_t i = 0; i < divisors.size() && same; ++i) {
        const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(head_dim_);
        const double want =
            llama3_divisor(std::pow(theta, -exponent), factor, static_cast<double>(context));
        same = std::abs(divisors[i] - want) <= 1e-4 * want;
      }
      if (same)
        return {{"rope_type", "llama3"},
                {"factor", factor},
                {"low_freq_factor", 1.0},
                {"high_freq_factor", 4.0},
                {"original_max_position_embeddings", context}};
    }
    throw_runtime("{}: tensor '{}' is not the scaling of Llama 3, which is the only one supported",
                  metadata_.where(), kRopeFactors);
  }

  void set_tokens() {
    const auto id = [&](const char* name) {
      return metadata_.integer(std::string("tokenizer.ggml.") + name, 0, kMaxSize - 1);
    };
    if (const auto bos = id("bos_token_id")) config_["bos_token_id"] = *bos;
    Json ends = Json::array();
    for (const char* name : {"eos_token_id", "eot_token_id", "eom_token_id"})
      if (const auto end = id(name); end && std::find(ends.begin(), ends.end(), *end) == ends.end())
        ends.push_back(*end);
    config_["eos_token_id"] = ends;
  }

  const Gguf& file_;
  ConfigReader metadata_;
  Json config_ = Json::object();
  std::string architecture_;
  int64_t heads_ = 0, head_dim_ = 0;
};

}  // namespace

Json gguf_config(const Gguf& file) { return ConfigWriter(file).write(); }

}  // namespace stamp
