#include "stamp/models/dit/dit.h"

#include <algorithm>
#include <cmath>

#include "stamp/models/dit/features.h"
#include "stamp/models/weights.h"
#include "stamp/nn/activations.h"
#include "stamp/nn/full_attention.h"
#include "stamp/nn/layers.h"
#include "stamp/nn/row_loop.h"

namespace stamp {
namespace {

constexpr float kHidden = -10000.0f;  // bias of text padding
constexpr double kTextNormEps = 1e-5;

/// x += gate * y, a gate per column.
void add_gated(Matrix& x, std::span<const float> gate, const Matrix& y) {
  for_each_row(x.rows(), x.cols(), [&](int64_t i) {
    for (int64_t j = 0; j < x.cols(); ++j) x(i, j) += gate[static_cast<size_t>(j)] * y(i, j);
  });
}

/// The convolution that cuts the latents into patches, as a linear over patches.
Linear patch_linear(const Component& component, const std::string& name,
                    const ImageTransformerConfig& c) {
  const int64_t patch = c.patch_size, inputs = c.in_channels * patch * patch;
  TensorView weight = component.tensor(name + ".weight", {c.dim(), c.in_channels, patch, patch});
  weight.shape = {c.dim(), inputs};
  return Linear(
      name, {{.name = name, .weight = weight, .bias = component.tensor(name + ".bias", {c.dim()})}},
      Recipe{}, nullptr);
}

}  // namespace

ImageTransformerConfig read_dit_sizes(const ConfigReader& config, ImageTransformerConfig c) {
  const auto read = [&](const char* key, int64_t& value, int64_t largest = kMaxDitSize) {
    value = config.integer(key, 1, largest).value_or(value);
  };
  read("num_layers", c.layers, 1024);
  read("num_attention_heads", c.heads);
  read("attention_head_dim", c.head_dim);
  read("in_channels", c.in_channels);
  read("patch_size", c.patch_size, 64);
  read("sample_size", c.sample_size);
  read("caption_channels", c.caption_channels);
  c.out_channels = c.in_channels;
  read("out_channels", c.out_channels);
  c.norm_eps = config.number("norm_eps", 0, 1).value_or(1e-6);
  if (config.boolean("norm_elementwise_affine").value_or(false))
    config.reject("norm_elementwise_affine", "supported is false");
  if (config.integer("cross_attention_dim", 1, kMaxDitSize).value_or(c.dim()) != c.dim())
    config.reject("cross_attention_dim", fmt::format("expected {}", c.dim()));
  return c;
}

void norm_rows_if(const std::vector<float>& weight, Matrix& x) {
  if (!weight.empty()) rms_norm_rows(x.view(), weight, kTextNormEps, x.view());
}

Dit::LayerLoader::LayerLoader(const Component& component, const ModelOptions& options,
                              int64_t layer)
    : component_(component),
      options_(options),
      recipe_(recipe_for_layer(options.recipe, layer)),
      file_prefix_(fmt::format("transformer_blocks.{}.", layer)),
      name_(fmt::format("blocks.{}.", layer)) {}

std::vector<LinearWeight> Dit::LayerLoader::weights(const std::vector<Request>& requests) const {
  std::vector<LinearWeight> weights;
  for (const Request& request : requests) {
    weights.push_back(
        component_.linear(file_prefix_ + request.name, request.out_dim, request.in_dim));
    weights.back().name = name_ + request.name;
    if (options_.codes == nullptr) continue;
    if (const auto found = options_.codes->find(weights.back().name);
        found != options_.codes->end())
      take_codes(found->second, weights.back());
  }
  return weights;
}

Linear Dit::LayerLoader::linear(const std::string& input, const std::vector<Request>& requests,
                                int64_t head_dim) const {
  return Linear(name_ + input, weights(requests), recipe_, options_.calibration, head_dim,
                options_.execution);
}

Linear Dit::LayerLoader::plain(const std::vector<Request>& requests) const {
  return Linear(name_ + requests[0].name, weights(requests), Recipe{}, nullptr);
}

Dit::Dit(std::shared_ptr<const Component> component, ImageTransformerConfig config, DitNames names,
         const ModelOptions& options)
    : component_(std::move(component)),
      config_(config),
      recipe_(options.recipe),
      time_(*component_, names.time_embed, config_),
      patch_embed_(patch_linear(*component_, names.patch_embed, config_)),
      caption_first_(plain_linear(*component_, "caption_projection.linear_1", config_.dim(),
                                  config_.caption_channels)),
      caption_second_(
          plain_linear(*component_, "caption_projection.linear_2", config_.dim(), config_.dim())),
      proj_out_(plain_linear(*component_, "proj_out",
                             config_.out_channels * config_.patch_size * config_.patch_size,
                             config_.dim())),
      final_table_(to_matrix(component_->tensor("scale_shift_table", {2, config_.dim()}))) {
  const int64_t dim = config_.dim(), cross = config_.cross_heads * config_.cross_head_dim;
  if (component_->has("caption_norm.weight"))
    caption_norm_ = component_->vector("caption_norm.weight", dim);
  check_layers(recipe_, config_.layers);
  for (int64_t i = 0; i < config_.layers; ++i) {
    const LayerLoader loader(*component_, options, i);
    const std::string prefix = loader.prefix();
    const auto norm = [&](const char* name) {
      return config_.qk_norm ? component_->vector(prefix + name, cross) : std::vector<float>{};
    };
    layers_.push_back(
        {to_matrix(component_->tensor(prefix + "scale_shift_table", {6, dim})),
         {loader.linear("attn2_in", {{"attn2.to_q", cross, dim}}),
          loader.linear("attn2_out_in", {{"attn2.to_out.0", dim, cross}}, config_.cross_head_dim),
          loader.plain({{"attn2.to_k", cross, dim}, {"attn2.to_v", cross, dim}}),
          norm("attn2.norm_q.weight"), norm("attn2.norm_k.weight")}});
  }
}

ImageCondition Dit::condition(ConstFloatView text, std::span<const uint8_t> mask,
                              ForwardContext& context) const {
  if (text.cols != config_.caption_channels || static_cast<int64_t>(mask.size()) != text.rows)
    throw_argument(
        "transformer: expected a caption [tokens, {}] and as many mask values, got "
        "[{}, {}] and {}",
        config_.caption_channels, text.rows, text.cols, mask.size());
  ImageCondition result;
  Matrix hidden = apply(caption_first_, text, context);
  gelu(hidden.view());
  result.caption = apply(caption_second_, hidden.view(), context);
  if (context.observer) context.observer->on_hidden("caption_proj", result.caption.view());
  norm_rows_if(caption_norm_, result.caption);
  if (context.observer && !caption_norm_.empty())
    context.observer->on_hidden("caption_norm", result.caption.view());
  for (const uint8_t seen : mask) result.key_bias.push_back(seen ? 0.0f : kHidden);
  return result;
}

void Dit::embed(const PixelMap& latent, DitWorkspace& work, ForwardContext& context) const {
  const int64_t patch = config_.patch_size;
  if (latent.channels() != config_.in_channels || latent.height < patch || latent.width < patch ||
      latent.height % patch != 0 || latent.width % patch != 0)
    throw_argument(
        "transformer: expected latents of {} channels, sides multiples of {}, got "
        "[{}, {}, {}]",
        config_.in_channels, patch, latent.height, latent.width, latent.channels());
  work.height = latent.height / patch;
  work.width = latent.width / patch;
  work.x = apply(patch_embed_, patches_of(latent, patch).view(), context);
  if (config_.position_scale > 0)
    add_rows(work.x.view(), grid_positions(work.height, work.width, config_.dim(),
                                           config_.sample_size / patch, config_.position_scale)
                                .view());
  if (context.observer) context.observer->on_hidden("patch_embed", work.x.view());
}

void Dit::cross_attention(const CrossAttention& attention, const ImageCondition& condition,
                          DitWorkspace& work, ForwardContext& context) const {
  Matrix* const q[] = {&work.q};
  attention.q.forward(work.x.view(), 0, q, context);
  Matrix* const kv[] = {&work.k, &work.v};
  attention.kv.forward(condition.caption.view(), 0, kv, context);
  norm_rows_if(attention.norm_q, work.q);
  norm_rows_if(attention.norm_k, work.k);
  work.input.reshape(work.x.rows(), work.q.cols());
  {
    const PhaseScope scope(context.phases, Phase::kAttention);
    full_attention(work.q.view(), work.k.view(), work.v.view(),
                   {.heads = config_.cross_heads,
                    .kv_heads = config_.cross_heads,
                    .head_dim = config_.cross_head_dim,
                    .scale = 1.0f / std::sqrt(static_cast<float>(config_.cross_head_dim)),
                    .key_bias = condition.key_bias},
                   work.input.view());
  }
  work.branch.reshape(work.x.rows(), work.x.cols());
  attention.out.forward_into(work.input.view(), 0, work.branch.view(), false, context);
}

void Dit::run_layer(size_t index, const std::vector<float>& modulation,
                    const ImageCondition& condition, DitWorkspace& work,
                    ForwardContext& context) const {
  const Layer& layer = layers_[index];
  const auto dim = static_cast<size_t>(config_.dim());
  Matrix own = layer.table;  // shift, scale, gate of attn1, then of ff
  for (size_t i = 0; i < modulation.size(); ++i) own.data()[i] += modulation[i];
  const auto vector = [&](int64_t i) { return std::span<const float>(own.row(i), dim); };
  const auto observe = [&](const char* part, const Matrix& x) {
    if (context.observer)
      context.observer->on_hidden(fmt::format("blocks.{}{}", index, part), x.view());
  };
  const auto modulated_input = [&](int64_t first) {
    const PhaseScope scope(context.phases, Phase::kNorm);
    work.input.reshape(work.x.rows(), work.x.cols());
    modulated_layer_norm(work.x.view(), vector(first + 1), vector(first), config_.norm_eps,
                         work.input.view());
  };
  modulated_input(0);
  self_attention(index, work, context);
  observe(".attn1", work.branch);
  add_gated(work.x, vector(2), work.branch);
  cross_attention(layer.attention, condition, work, context);
  observe(".attn2", work.branch);
  add_rows(work.x.view(), work.branch.view());
  modulated_input(3);
  feed_forward(index, work, context);
  observe(".ff", work.branch);
  add_gated(work.x, vector(5), work.branch);
  observe("", work.x);
}

PixelMap Dit::finish(const std::vector<float>& embedding, DitWorkspace& work,
                     ForwardContext& context) const {
  Matrix own = final_table_;  // shift, scale
  const auto dim = static_cast<size_t>(config_.dim());
  for (int64_t i = 0; i < 2; ++i)
    for (size_t j = 0; j < dim; ++j) own(i, static_cast<int64_t>(j)) += embedding[j];
  modulated_layer_norm(work.x.view(), {own.row(1), dim}, {own.row(0), dim}, config_.norm_eps,
                       work.x.view());
  return map_of_patches(apply(proj_out_, work.x.view(), context), work.height, work.width,
                        config_.patch_size);
}

PixelMap Dit::forward(const PixelMap& latent, double timestep, const ImageCondition& condition,
                      ForwardContext& context) const {
  const PhaseScope scope(context.phases, Phase::kOther);
  DitWorkspace work;
  embed(latent, work, context);
  const TimeEmbedding::Vectors time = time_.forward(timestep, condition, context);
  for (size_t i = 0; i < layers_.size(); ++i)
    run_layer(i, time.modulation, condition, work, context);
  return finish(time.embedding, work, context);
}

std::vector<const Linear*> Dit::quantizable() const {
  std::vector<const Linear*> linears = own_linears();
  for (const Layer& layer : layers_) {
    linears.push_back(&layer.attention.q);
    linears.push_back(&layer.attention.out);
  }
  return linears;
}

BitCount Dit::activation_bits(int64_t height, int64_t width) const {
  const int64_t tokens = height * width / (config_.patch_size * config_.patch_size);
  BitCount bits;
  for (const Linear* linear : quantizable()) bits.add(linear->count_bits(tokens));
  return bits;
}

bool Dit::simulated() const {
  const std::vector<const Linear*> linears = quantizable();
  return std::any_of(linears.begin(), linears.end(),
                     [](const Linear* linear) { return linear->simulated(); });
}

int64_t Dit::weight_bytes() const {
  int64_t bytes = 0;
  for (const Linear* linear : quantizable()) bytes += linear->weight_bytes();
  for (const Layer& layer : layers_) bytes += layer.attention.kv.weight_bytes();
  return bytes;
}

std::vector<std::string> Dit::notes() const {
  std::vector<std::string> notes;
  for (const Linear* linear : quantizable()) {
    if (linear->excluded()) notes.push_back(linear->site() + " is excluded: not quantized");
    if (!linear->rotation()) continue;
    const std::string note =
        fmt::format("hadamard of {} inputs: {}", linear->in_dim(), linear->rotation()->description);
    if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
  }
  return notes;
}

}  // namespace stamp
