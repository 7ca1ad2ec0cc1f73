// Decoder language models against hidden states, logits and generated ids made by `transformers`.
#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>

#include "stamp/core/error.h"
#include "stamp/nn/rope.h"
#include "stamp/pipelines/alternative_config.h"
#include "stamp/pipelines/generate.h"
#include "stamp/pipelines/verify_recorder.h"

namespace stamp {
namespace fs = std::filesystem;
namespace {

constexpr double kTolerance = 2e-5;
constexpr int64_t kLogitRows = 32;                           // rows of logits computed at a time
constexpr int64_t kMaxSequences = 4096, kMaxTokens = 65536;  // of one tensor of ids
constexpr int64_t kAfterStop =
    16;  // tokens a run may continue past the place where it should have stopped

/// Values by the oracle's names: "embed", "layer_0_out", "final_norm", "logits".
using Values = std::map<std::string, std::vector<float>>;

std::vector<float> read_floats(const TensorView& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.size()));
  to_f32(tensor, 0, values);
  return values;
}

int32_t checked_id(int64_t id, const std::string& name) {
  if (id < 0 || id > std::numeric_limits<int32_t>::max()) {
    throw_runtime("{}: expected token ids, got {}", name, id);
  }
  return static_cast<int32_t>(id);
}

/// Rows of ids [sequences, tokens].
std::vector<std::vector<int32_t>> read_ids(const Safetensors& oracle, const std::string& name) {
  const TensorView& tensor = oracle.at(name);
  const Shape& shape = tensor.shape;
  if (tensor.dtype != DType::kI64 || shape.size() != 2 || shape[0] < 1 || shape[1] < 1 ||
      shape[0] > kMaxSequences || shape[1] > kMaxTokens) {
    throw_runtime("{}: expected I64 [1..{}, 1..{}], got {} {}", name, kMaxSequences, kMaxTokens,
                  dtype_name(tensor.dtype), to_string(shape));
  }
  std::vector<std::vector<int32_t>> rows(static_cast<size_t>(shape[0]));
  const auto* next = tensor.as<int64_t>();
  for (auto& row : rows) {
    for (int64_t i = 0; i < shape[1]; ++i) row.push_back(checked_id(*next++, name));
  }
  return rows;
}

void append_logits(const Model& model, ConstFloatView hidden, ForwardContext& context,
                   std::vector<float>& out) {
  const int64_t vocabulary = model.config().vocab_size;
  for (int64_t first = 0; first < hidden.rows; first += kLogitRows) {
    Matrix logits(std::min(kLogitRows, hidden.rows - first), vocabulary);
    model.logits(hidden.rows_from(first, logits.rows()), logits.view(), context);
    out.insert(out.end(), logits.data(), logits.data() + logits.size());
  }
}

/// Everything that one pass over `input_ids` shows.
Values run_whole(const Model& model, const std::vector<std::vector<int32_t>>& sequences,
                 Compute compute) {
  Recorder recorder;
  std::vector<float> logits;
  ForwardContext context{.compute = compute, .observer = &recorder};
  for (const std::vector<int32_t>& ids : sequences) {
    KvCache cache = model.make_cache(static_cast<int64_t>(ids.size()));
    const Matrix hidden = model.forward(ids, cache, context);
    append_logits(model, hidden.view(), context, logits);
  }
  Values values = recorder.values();
  values["logits"] = std::move(logits);
  return values;
}

/// Logits after the last of `ids`, which go through the model in two chunks: the second one reads
/// the cache.
std::vector<float> last_logits(const Model& model, std::span<const int32_t> ids, size_t split) {
  ForwardContext context;
  KvCache cache = model.make_cache(static_cast<int64_t>(ids.size()));
  if (split > 0) model.forward(ids.first(split), cache, context);
  const Matrix hidden = model.forward(ids.subspan(split), cache, context);
  std::vector<float> logits;
  append_logits(model, hidden.view().rows_from(hidden.rows() - 1, 1), context, logits);
  return logits;
}

void check_long(const Model& model, const Safetensors& oracle, VerifyCase& result) {
  if (!oracle.contains("long_last_logits")) return;
  std::vector<float> whole, chunked;
  for (const std::vector<int32_t>& ids : read_ids(oracle, "long_input_ids")) {
    const std::vector<float> one = last_logits(model, ids, 0);
    const std::vector<float> two = last_logits(model, ids, ids.size() / 3);
    whole.insert(whole.end(), one.begin(), one.end());
    chunked.insert(chunked.end(), two.begin(), two.end());
  }
  const std::vector<float> want = read_floats(oracle.at("long_last_logits"));
  check_close(result, "long_last_logits", whole, want);
  check_close(result, "long_last_logits in two chunks", chunked, want);
}

/// Logits of every greedy step, fed with the expected ids so that one wrong id does not spoil the
/// rest.
void check_steps(const Model& model, const Safetensors& oracle, VerifyCase& result) {
  if (!oracle.contains("greedy_step_logits")) return;
  const auto prompts = read_ids(oracle, "prompt_ids"), wanted = read_ids(oracle, "greedy_ids");
  std::vector<float> got;
  ForwardContext context;
  for (size_t s = 0; s < std::min(prompts.size(), wanted.size()); ++s) {
    KvCache cache = model.make_cache(static_cast<int64_t>(prompts[s].size() + wanted[s].size()));
    std::span<const int32_t> next(prompts[s]);
    for (const int32_t& id : wanted[s]) {
      const Matrix hidden = model.forward(next, cache, context);
      append_logits(model, hidden.view().rows_from(hidden.rows() - 1, 1), context, got);
      next = {&id, 1};
    }
  }
  check_close(result, "greedy_step_logits", got, read_floats(oracle.at("greedy_step_logits")));
}

/// Generation against `wanted`; with stop ids it may run on a little, so that a missed stop is
/// seen.
void check_generation(const Model& model, const Safetensors& oracle, const std::string& prompts,
                      const std::string& wanted, GenerateOptions options, VerifyCase& result) {
  if (!oracle.contains(wanted)) return;
  const auto starts = read_ids(oracle, prompts), ends = read_ids(oracle, wanted);
  for (size_t s = 0; s < std::min(starts.size(), ends.size()); ++s) {
    const auto& stops = options.stop_ids;
    const bool stopped =
        !ends[s].empty() && std::find(stops.begin(), stops.end(), ends[s].back()) != stops.end();
    options.max_new_tokens = static_cast<int64_t>(ends[s].size()) + (stopped ? kAfterStop : 0);
    ForwardContext context;
    check_equal(result, wanted, generate_ids(model, starts[s], options, context), ends[s]);
  }
}

void check_alternative_config(const fs::path& checkpoint, const Safetensors& oracle,
                              VerifyCase& result) {
  const AlternativeConfig view(checkpoint);
  const auto model = make_model(ModelSource::open(view.path()));
  const Values values = run_whole(*model, read_ids(oracle, "input_ids"), Compute::kF32);
  check_close(result, "logits with config_alt.json", values.at("logits"),
              read_floats(oracle.at("logits")));
}

void check_hidden(const Model& model, const Safetensors& oracle, VerifyCase& result) {
  const auto sequences = read_ids(oracle, "input_ids");
  // Also bounds what run_whole() keeps by the size of the file.
  const int64_t rows = static_cast<int64_t>(sequences.size() * sequences.front().size());
  if (oracle.at("logits").size() != rows * model.config().vocab_size) {
    throw_runtime("logits: expected {} rows of {}, got {}", rows, model.config().vocab_size,
                  to_string(oracle.at("logits").shape));
  }
  const Values values = run_whole(model, sequences, Compute::kF32);
  for (const auto& [name, tensor] : oracle.tensors()) {
    const bool layer = name.starts_with("layer_") && name.ends_with("_out");
    if (!layer && name != "embed" && name != "final_norm" && name != "logits") continue;
    const auto got = values.find(name);
    if (got == values.end()) {
      fail(result, name + ": the model has no such layer");
    } else {
      check_close(result, name, got->second, read_floats(tensor));
    }
  }
}

/// Not a criterion: bf16 roundings differ from machine to machine.
std::string bf16_remark(const Model& model, const Safetensors& oracle) {
  const Values values = run_whole(model, read_ids(oracle, "input_ids"), Compute::kBF16);
  VerifyCase scratch;
  check_close(scratch, "bf16", values.at("logits"), read_floats(oracle.at("logits_bf16_compute")));
  return fmt::format("bf16 compute within {:.1e} (informative)", scratch.worst_error);
}

bool has_supported_architecture(const fs::path& checkpoint, VerifyCase& result) {
  const Json config = read_json(checkpoint / "config.json");
  const auto name = config.at("architectures").at(0).get<std::string>();
  const std::vector<std::string> known = supported_architectures();
  if (std::find(known.begin(), known.end(), name) != known.end()) return true;
  result.status = VerifyCase::Status::kUnsupported;
  result.message = "this build has no architecture '" + name + "'";
  return false;
}

void check_ids(const Model& model, const fs::path& checkpoint, const Safetensors& oracle,
               VerifyCase& result) {
  GenerateOptions greedy, stopping, penalized;
  stopping.stop_ids = read_generation_config(checkpoint, model.config()).eos_token_ids;
  penalized.sampling.repetition_penalty = 1.3;
  check_generation(model, oracle, "prompt_ids", "greedy_ids", greedy, result);
  check_generation(model, oracle, "stop_prompt_ids", "stop_output_ids", stopping, result);
  check_generation(model, oracle, "prompt_ids", "reppen13_ids", penalized, result);
}

void check_rope(const LlmConfig& config, const Safetensors& oracle, VerifyCase& result) {
  if (!oracle.contains("rope_inv_freq")) return;
  check_close(result, "rope_inv_freq", rope_frequencies(config).inverse,
              read_floats(oracle.at("rope_inv_freq")));
}

}  // namespace

void verify_llm(const fs::path& directory, VerifyCase& result) {
  const fs::path checkpoint = directory / "ckpt";
  if (!has_supported_architecture(checkpoint, result)) return;
  result.tolerance = kTolerance;
  const Safetensors oracle = Safetensors::open(directory / "oracle.safetensors");
  const auto model = make_model(ModelSource::open(checkpoint));
  check_rope(model->config(), oracle, result);
  check_hidden(*model, oracle, result);
  check_long(*model, oracle, result);
  check_ids(*model, checkpoint, oracle, result);
  check_steps(*model, oracle, result);
  if (fs::exists(checkpoint / "config_alt.json")) {
    check_alternative_config(checkpoint, oracle, result);
  }
  if (oracle.contains("logits_bf16_compute") && result.status == VerifyCase::Status::kPassed) {
    result.message = bf16_remark(*model, oracle);
  }
}

}  // namespace stamp
