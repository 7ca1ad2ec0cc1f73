#include "stamp/pipelines/synthetic_transformer.h"

#include "stamp/core/error.h"
#include "stamp/io/json.h"
#include "stamp/pipelines/synthetic_file.h"

namespace stamp {
namespace {

Json config_of(const ImageShape& s) {
  const int64_t dim = s.heads * s.head_dim;
  Json config = {{"num_attention_heads", s.heads}, {"attention_head_dim", s.head_dim},
                 {"num_layers", s.layers},         {"in_channels", s.in_channels},
                 {"out_channels", s.out_channels}, {"patch_size", s.patch},
                 {"sample_size", s.sample_size},   {"caption_channels", s.caption},
                 {"cross_attention_dim", dim},     {"norm_eps", 1e-6}};
  if (s.sana) {
    config["_class_name"] = "SanaTransformer2DModel";
    config["num_cross_attention_heads"] = s.cross_heads;
    config["cross_attention_head_dim"] = s.cross_head_dim;
    config["mlp_ratio"] = 2.5;
  } else {
    config["_class_name"] = "PixArtTransformer2DModel";
    config["norm_type"] = "ada_norm_single";
    config["interpolation_scale"] = 2;
    config["use_additional_conditions"] = false;
  }
  return config;
}

void add_linear(SyntheticFile& file, const std::string& name, int64_t out, int64_t in,
                bool bias = true) {
  file.add_plain(name + ".weight", out, in);
  if (bias) file.add_vector(name + ".bias", out, 0.01f);
}

void add_layer(SyntheticFile& file, const ImageShape& s, int64_t index) {
  const std::string prefix = fmt::format("transformer_blocks.{}.", index);
  const int64_t dim = s.heads * s.head_dim, ff = dim * 5 / 2;
  file.add_tensor(prefix + "scale_shift_table", {6, dim});
  for (const char* part : {"attn1.to_q", "attn1.to_k", "attn1.to_v"})
    add_linear(file, prefix + part, dim, dim, !s.sana);
  for (const char* part :
       {"attn1.to_out.0", "attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0"})
    add_linear(file, prefix + part, dim, dim);
  if (!s.sana) {
    add_linear(file, prefix + "ff.net.0.proj", 4 * dim, dim);
    return add_linear(file, prefix + "ff.net.2", dim, 4 * dim);
  }
  file.add_tensor(prefix + "ff.conv_inverted.weight", {2 * ff, dim, 1, 1});
  file.add_vector(prefix + "ff.conv_inverted.bias", 2 * ff, 0.01f);
  file.add_tensor(prefix + "ff.conv_depth.weight", {2 * ff, 1, 3, 3});
  file.add_vector(prefix + "ff.conv_depth.bias", 2 * ff, 0.01f);
  file.add_tensor(prefix + "ff.conv_point.weight", {dim, ff, 1, 1});
}

}  // namespace

const std::vector<ImageShape>& image_shapes() {
  static const std::vector<ImageShape> kShapes = {
      {"tiny-pixart", false, 2, 16, 2, 16, 2, 4, 8, 2, 16, 24},
      {"tiny-sana", true, 4, 8, 2, 16, 2, 4, 4, 1, 8, 24},
      {"pixart-sigma-1024", false, 16, 72, 16, 72, 28, 4, 8, 2, 128, 4096},
      {"pixart-sigma-512", false, 16, 72, 16, 72, 28, 4, 8, 2, 64, 4096},
      {"sana-1.6b-1024", true, 70, 32, 20, 112, 20, 32, 32, 1, 32, 2304},
      {"sana-0.6b-1024", true, 36, 32, 16, 72, 28, 32, 32, 1, 32, 2304}};
  return kShapes;
}

void write_synthetic_transformer(const ImageShape& s, const std::filesystem::path& directory) {
  write_file_atomically(directory / "config.json", config_of(s).dump(1) + "\n");
  const int64_t dim = s.heads * s.head_dim, features = 256;
  const std::string time = s.sana ? "time_embed" : "adaln_single";
  const std::string patch = s.sana ? "patch_embed.proj" : "pos_embed.proj";
  SyntheticFile file;
  file.add_tensor(patch + ".weight", {dim, s.in_channels, s.patch, s.patch});
  file.add_vector(patch + ".bias", dim, 0.01f);
  add_linear(file, time + ".emb.timestep_embedder.linear_1", dim, features);
  add_linear(file, time + ".emb.timestep_embedder.linear_2", dim, dim);
  add_linear(file, time + ".linear", 6 * dim, dim);
  add_linear(file, "caption_projection.linear_1", dim, s.caption);
  add_linear(file, "caption_projection.linear_2", dim, dim);
  if (s.sana) file.add_vector("caption_norm.weight", dim, 1.0f);
  file.add_tensor("scale_shift_table", {2, dim});
  add_linear(file, "proj_out", s.out_channels * s.patch * s.patch, dim);
  for (int64_t i = 0; i < s.layers; ++i) add_layer(file, s, i);
  file.write(directory / "diffusion_pytorch_model.safetensors");
}

}  // namespace stamp
