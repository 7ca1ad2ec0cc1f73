#include "stamp/pipelines/prompt_cache.h"

#include <algorithm>
#include <cstring>

#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/io/safetensors.h"
#include "stamp/io/safetensors_writer.h"
#include "stamp/io/tensor_digest.h"
#include "stamp/models/calibration_file.h"
#include "stamp/models/kv_cache_file.h"

namespace stamp {
namespace fs = std::filesystem;
namespace {

using Metadata = std::map<std::string, std::string>;

constexpr const char *kFormat = "stamp prompt cache", *kVersion = "1";
constexpr const char *kIds = "ids", *kHidden = "hidden", *kChecksum = "sha256";
constexpr int64_t kChecksumBytes = 64;
constexpr const char* kAgain = "; make it anew with save_cache";

/// What K, V and the next token depend on besides the ids.
Metadata metadata_of(const TextModel& text, Compute compute) {
  TensorDigest calibration;
  calibration.add(calibration_tensors(text.calibration));
  calibration.add_text(text.calibration_text);
  return {{"format", kFormat},
          {"version", kVersion},
          {"model", text.source->identity()},
          {"recipe", to_json(text.recipe).dump()},
          {"calibration", calibration.finish()},
          {"execution", text.execution == Execution::kInteger ? "integer" : "simulated"},
          {"compute", compute == Compute::kF32 ? "fp32" : "bf16"}};
}

void check_metadata(const fs::path& file, const Metadata& got, const Metadata& want) {
  const auto value = [&](const char* key) {
    const auto found = got.find(key);
    return found == got.end() ? "" : found->second;
  };
  if (value("format") != kFormat)
    throw_runtime("{}: not a prompt cache, its 'format' is '{}'", file.string(),
                  value("format").substr(0, 50));
  if (value("version") != kVersion)
    throw_runtime("{}: expected layout version {}, got '{}'{}", file.string(), kVersion,
                  value("version").substr(0, 50), kAgain);
  const std::pair<const char*, const char*> kParts[] = {
      {"model", "another model, or weights that have changed since"},
      {"recipe", "another recipe"},
      {"calibration", "another calibration"},
      {"execution", "another execution"},
      {"compute", "another arithmetic (compute)"}};
  for (const auto& [key, what] : kParts)
    if (value(key) != want.at(key))
      throw_runtime("{}: the cache was made by {}{}", file.string(), what, kAgain);
}

/// Digests as it writes; tensors must come in the order of their names.
class CacheWriter {
 public:
  CacheWriter(const fs::path& file, const std::map<std::string, TensorView>& tensors,
              const Metadata& metadata)
      : writer_(file, tensors, metadata) {
    for (const auto& [key, value] : metadata) digest_.add_text(key + '=' + value);
  }

  void write(const std::string& name, const ScatteredTensor& tensor) {
    buffer_.clear();  // one tensor at a time is gathered: that of a layer
    for (const std::string_view piece : tensor.pieces) buffer_ += piece;
    digest_.add(name, {tensor.view.dtype, tensor.view.shape, buffer_.data()});
    writer_.write(name, 0, buffer_);
  }
  void commit() {
    writer_.write(kChecksum, 0, digest_.finish());
    writer_.commit();
  }

 private:
  SafetensorsWriter writer_;
  TensorDigest digest_;
  std::string buffer_;
};

void check_checksum(const fs::path& file, const Safetensors& tensors) {
  TensorDigest digest;
  for (const auto& [key, value] : tensors.metadata()) digest.add_text(key + '=' + value);
  for (const auto& [name, tensor] : tensors.tensors())
    if (name != kChecksum) digest.add(name, tensor);
  const TensorView& stored = tensors.at(kChecksum);
  if (stored.dtype != DType::kU8 || stored.shape != Shape{kChecksumBytes} ||
      digest.finish() != std::string_view(stored.as<char>(), static_cast<size_t>(kChecksumBytes)))
    throw_runtime("{}: damaged, its content does not have the checksum that it was written with{}",
                  file.string(), kAgain);
}

std::vector<int32_t> read_ids(const fs::path& file, const Safetensors& tensors,
                              const LlmConfig& config) {
  const TensorView& tensor = tensors.at(kIds);
  if (tensor.dtype != DType::kI32 || tensor.shape.size() != 1 || tensor.shape[0] < 1 ||
      tensor.shape[0] > config.max_positions)
    throw_runtime("{}: tensor '{}': expected I32 [1..{}], got {} {}", file.string(), kIds,
                  config.max_positions, dtype_name(tensor.dtype), to_string(tensor.shape));
  std::vector<int32_t> ids(tensor.as<int32_t>(), tensor.as<int32_t>() + tensor.size());
  for (const int32_t id : ids)
    if (id < 0 || id >= config.vocab_size)
      throw_runtime("{}: tensor '{}' holds {}, which is outside [0, {})", file.string(), kIds, id,
                    config.vocab_size);
  return ids;
}

Matrix read_hidden(const fs::path& file, const Safetensors& tensors, int64_t hidden_size) {
  const TensorView& tensor = tensors.at(kHidden);
  if (tensor.dtype != DType::kF32 || tensor.shape != Shape{1, hidden_size})
    throw_runtime("{}: tensor '{}': expected F32 [1, {}], got {} {}", file.string(), kHidden,
                  hidden_size, dtype_name(tensor.dtype), to_string(tensor.shape));
  return to_matrix(tensor);
}

template <class T>
ScatteredTensor whole_tensor(DType dtype, Shape shape, const T* data, size_t count) {
  return {{dtype, std::move(shape), nullptr},
          {{reinterpret_cast<const char*>(data), count * sizeof(T)}}};
}

/// `prompt` in a session that may hold the beginning of it.
TokenSession extend(TokenSession session, std::span<const int32_t> prompt) {
  const std::vector<int32_t>& ids = session.ids();
  const auto common = std::mismatch(ids.begin(), ids.end(), prompt.begin(), prompt.end()).first;
  // Of a prompt that ends within the saved one the last token is computed: what follows it is not
  // in the file.
  if (common != ids.end())
    session.truncate(std::min<int64_t>(common - ids.begin(), std::ssize(prompt) - 1));
  session.append(prompt.subspan(session.ids().size()));
  return session;
}

}  // namespace

void save_prompt_cache(const fs::path& file, const TextModel& text, Compute compute,
                       const TokenSession& session) {
  const std::vector<int32_t>& ids = session.ids();
  const Matrix& hidden = session.last_hidden();
  if (hidden.rows() != 1)
    throw_argument("prompt cache: {} of {} tokens are computed, expected all", session.cached(),
                   ids.size());
  std::map<std::string, ScatteredTensor> tensors = kv_cache_tensors(session.cache());
  tensors[kIds] =
      whole_tensor(DType::kI32, {static_cast<int64_t>(ids.size())}, ids.data(), ids.size());
  tensors[kHidden] = whole_tensor(DType::kF32, {1, hidden.cols()}, hidden.data(),
                                  static_cast<size_t>(hidden.cols()));
  std::map<std::string, TensorView> views{{kChecksum, {DType::kU8, {kChecksumBytes}, nullptr}}};
  for (const auto& [name, tensor] : tensors) views[name] = tensor.view;
  CacheWriter writer(file, views, metadata_of(text, compute));
  for (const auto& [name, tensor] : tensors) writer.write(name, tensor);
  writer.commit();
}

TokenSession load_prompt_cache(const fs::path& file, const TextModel& text, Compute compute,
                               std::span<const int32_t> prompt, int64_t max_new_tokens) {
  const Safetensors tensors = Safetensors::open(file);
  check_metadata(file, tensors.metadata(), metadata_of(text, compute));
  check_checksum(file, tensors);
  const Model& model = *text.model;
  std::vector<int32_t> ids = read_ids(file, tensors, model.config());
  Matrix hidden = read_hidden(file, tensors, model.config().hidden_size);
  const auto tokens = static_cast<int64_t>(ids.size());
  KvCache cache = model.make_cache(
      session_capacity(model.config(), std::max(tokens, std::ssize(prompt)), max_new_tokens));
  read_kv_cache(
      tensors, [&](int64_t layer) -> const KvQuantizer& { return model.kv_quantizer(layer); },
      model.config().head_dim, tokens, cache);
  return {model, std::move(ids), std::move(cache), std::move(hidden)};
}

OpenedPrompt open_prompt(const TextModel& text, std::span<const int32_t> prompt,
                         int64_t max_new_tokens, const PromptCacheOptions& options,
                         ForwardContext& context) {
  const bool files = !options.load_cache.empty() || !options.save_cache.empty();
  if (files && text.model->split() != ModelSplit::kNone)
    throw_argument("prompt cache: a model that processes share keeps no files of its cache");
  const auto opened = [&]() -> OpenedPrompt {
    if (options.load_cache.empty()) return {open_session(*text.model, prompt, max_new_tokens)};
    TokenSession saved =
        load_prompt_cache(options.load_cache, text, context.compute, prompt, max_new_tokens);
    TokenSession session = prompt.empty() ? std::move(saved) : extend(std::move(saved), prompt);
    const int64_t reused = session.cached();
    return {std::move(session), reused};
  };
  OpenedPrompt result = opened();
  if (!options.save_cache.empty() && result.session.prefill(context))
    save_prompt_cache(options.save_cache, text, context.compute, result.session);
  return result;
}

}  // namespace stamp
