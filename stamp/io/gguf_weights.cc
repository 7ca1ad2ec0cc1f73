#include <charconv>
#include <cstring>

#include "stamp/core/error.h"
#include "stamp/io/config_reader.h"
#include "stamp/io/gguf_model.h"

namespace stamp {
namespace {

struct Renamed {
  std::string_view gguf, directory;
};
constexpr Renamed kOutside[] = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
constexpr Renamed kOfLayers[] = {
    {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"}};

template <size_t Count>
std::string_view renamed(const Renamed (&table)[Count], std::string_view name) {
  for (const Renamed& row : table)
    if (row.gguf == name) return row.directory;
  return {};
}

/// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; empty: unknown.
std::string directory_name(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == name.npos) return {};
  const std::string_view suffix = name.substr(dot), stem = name.substr(0, dot);
  if (suffix != ".weight" && suffix != ".bias") return {};
  if (const auto outside = renamed(kOutside, stem); !outside.empty())
    return std::string(outside) + std::string(suffix);
  if (!stem.starts_with("blk.")) return {};
  int64_t layer = -1;
  const char* digits = stem.data() + 4;
  const auto [end, error] = std::from_chars(digits, stem.data() + stem.size(), layer);
  if (error != std::errc() || layer < 0 || end == stem.data() + stem.size() || *end != '.')
    return {};
  const std::string_view part =
      renamed(kOfLayers, stem.substr(static_cast<size_t>(end + 1 - stem.data())));
  if (part.empty() || fmt::format("{}", layer) != std::string_view(digits, end)) return {};
  return fmt::format("model.layers.{}.{}{}", layer, part, suffix);
}

/// GGUF keeps the two halves of each head of q and k, which RoPE turns together, as neighbours: row
/// 2 j + s of a head is row s head_dim / 2 + j of the directory's.
std::shared_ptr<AlignedBuffer> split_halves(const TensorView& view, int64_t heads) {
  const int64_t rows = view.shape[0], head_dim = rows / heads, row_bytes = view.bytes() / rows;
  auto buffer = shared_buffer(view.bytes());
  auto* to = static_cast<char*>(buffer->data());
  const auto* from = static_cast<const char*>(view.data);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t inside = row % head_dim, first = row - inside;
    const int64_t source = first + inside % (head_dim / 2) * 2 + inside / (head_dim / 2);
    std::memcpy(to + row * row_bytes, from + source * row_bytes, static_cast<size_t>(row_bytes));
  }
  drop_mapped_pages(view.data, view.bytes());
  return buffer;
}

void put_halves_back(const Gguf& file, TensorStore& store) {
  const ConfigReader metadata(file.metadata(), file.path().string());
  const auto count = [&](const char* key, int64_t otherwise) {
    return metadata.integer(key, 1, int64_t{1} << 20).value_or(otherwise);
  };
  const int64_t heads = count("llama.attention.head_count", 1);
  const int64_t kv_heads = count("llama.attention.head_count_kv", heads);
  std::vector<std::string> names;
  for (const auto& [name, view] : store.tensors())
    if (name.find(".q_proj.") != name.npos || name.find(".k_proj.") != name.npos)
      names.push_back(name);
  for (const std::string& name : names) {
    TensorView view = store.at(name);
    const int64_t own = name.find(".q_proj.") != name.npos ? heads : kv_heads;
    if (view.shape.size() == 1 && dtype_block(view.dtype) > 1)
      throw_runtime("{}: tensor '{}': a vector of {} is unsupported", file.path().string(), name,
                    dtype_name(view.dtype));
    if (view.shape[0] % (2 * own) != 0)
      throw_runtime("{}: tensor '{}' has {} rows, expected {} heads of an even size",
                    file.path().string(), name, view.shape[0], own);
    auto buffer = split_halves(view, own);
    view.data = buffer->data();
    store.replace(name, std::move(view), std::move(buffer));
  }
}

}  // namespace

TensorStore gguf_weights(const Gguf& file) {
  TensorStore store(file.path());
  std::map<std::string, TensorView> views;
  for (const auto& [name, view] : file.tensors()) {
    if (name == "rope_freqs.weight") continue;  // in the config
    std::string known = directory_name(name);
    if (known.empty())
      throw_runtime("{}: tensor '{}' belongs to no supported model", file.path().string(), name);
    views.emplace(std::move(known), view);
  }
  store.add(std::move(views), file.file(), file.path().string());
  if (file.metadata().value("general.architecture", Json()) == "llama")
    put_halves_back(file, store);
  return store;
}

}  // namespace stamp
