#pragma once
// The recipe: plain data that says what is quantized, how, and in which basis.
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "stamp/io/json.h"

namespace stamp {

/// Min-max quantizer of one row (or of blocks of a row). METHODS: per-token asymmetric by default.
struct QuantizerSpec {
  bool symmetric = false;
  double clip = 1.0;  // (0, 1]: the range of rows of at most 4 bits is multiplied by this
  /// Learned shares of its ends, on top; calibrated, so that they stand in no recipe file.
  float low_share = 1, high_share = 1;
  int block = 0;  // columns that share one scale; 0: the whole row
};

/// skip_tokens: as many as calibration finds massive, tensor by tensor.
inline constexpr int kDetectSinks = -1;
/// Most first tokens that L leaves out.
inline constexpr int kMostSinks = 16;

/// The transform L along tokens.
struct SequenceSpec {
  std::string transform = "identity";  // a row of sequence_transforms()
  int levels = 0;        // a wavelet's J; 0: the largest J with at least `high_tokens` rows in A_J
  int skip_tokens = 0;   // attention-sink rows kept out of L (as extra 8-bit rows); kDetectSinks
  int block_tokens = 0;  // transform blocks of this many tokens; 0: the whole chunk
  int grid_width = 0;    // haar2d, dct2d: tokens in a row of the image; 0: as square as can be
  int klt_tokens = 64;   // klt: neighbouring tokens with a basis of their own; 0: the whole block
};

/// Bits of each transformed row.
struct PlanSpec {
  std::string kind = "uniform";  // uniform, two_level, fraction, waterfill
  int high_tokens = 64;          // two_level: rows at high_bits, skip included
  int high_bits = 8;
  int min_bits = 2;  // waterfill: smallest width; 0 drops rows
  double average_bits =
      0;  // waterfill: data bits per element, sinks included; 0: what two_level would use
};

/// How one kind of tensor (linear inputs, K, V) is quantized along tokens. bits = 16: not at all.
struct TokenSpec {
  int bits = 16;  // 2..8, or 16; the low width of two_level and fraction
  QuantizerSpec quantizer;
  SequenceSpec sequence;
  PlanSpec plan;
};

/// K or V. Rotations are online, orthonormal and per head: queries turn with K (after RoPE), the
/// attention's output turns back what V brought in, so that nothing but the rounding changes.
struct KvSpec : TokenSpec {
  /// none; head: Hadamard of each head (of the largest power of two that divides head_dim); group:
  /// of each group of columns that share a scale (quantizer.block, a power of two).
  std::string rotation = "none";
};

struct WeightSpec {
  int bits = 16;  // 2..8, or 16
  int group = 0;  // input channels that share a scale; 0: one scale per output channel
  bool symmetric = true;
  bool mse_clip = false;          // clip search (METHODS 1.6)
  double clip_norm = 2.4;         // of its error: 2.4 or 2
  std::string quantizer = "rtn";  // rtn, gptq (of the layers' linears)
  bool act_order = false;         // gptq: columns by falling energy of their input
  double damping = 0.01;          // gptq: of the mean of H's diagonal
  int rank = 0;  // of a 16-bit branch of unquantized inputs beside the codes (SVDQuant); 0: none
};

/// Factors per input channel of feature transforms that smooth (METHODS 3, 8.1).
struct SmoothingSpec {
  double alpha = 0.5;       // [0, 1]: how much of the activations' range moves into the weights
  bool all_inputs = false;  // also where no norm precedes: inputs of o_proj and down_proj
};

/// Widths of some layers that differ from the rest; plans raise high_bits to them.
struct LayerSpec {
  std::string range;                                // "0-1,15"
  int activation_bits = 0, k_bits = 0, v_bits = 0;  // 2..8, or 16; 0: as the recipe says
};

/// One quantized tensor that differs from the rest.
struct SiteSpec {
  std::string site;         // "layers.3.down_in"; inputs attn_in, o_in, mlp_in, down_in, or k, v
  double average_bits = 0;  // of waterfill; 0: as the recipe says
  double clip = 0;          // of its quantizer; 0: as the recipe says
};

struct Recipe {
  std::string name = "bf16";
  /// Of the inputs of linears: none, hadamard, smoothquant, quarot, vidit-q, flatquant,
  /// svdquant.
  std::string feature = "none";
  SmoothingSpec smoothing;  // smoothquant, vidit-q
  /// Rotations of the inputs of o and down stay within each of so many equal parts of the features,
  /// so that as many processes can share a layer (language models).
  int rotation_parts = 1;
  int seed = 0;  // random signs of quarot and vidit-q, where flatquant starts
  WeightSpec weights;
  WeightSpec lm_head;       // bits 4, 8 or 16
  int embedding_bits = 16;  // 8 or 16
  TokenSpec activations;
  std::string center =
      "none";  // none, static (calibrated channel means), auto (per layer by calibration)
  KvSpec k, v;
  int attention_bits = 16;           // operands of attention over quantized K and V: 8 or 16; in
                                     // image models 8: of self-attention, 16: none is quantized
  int kv_block = 64;                 // tokens of a closed KV block; 0: the whole sequence (paper)
  std::vector<LayerSpec> layers;     // later entries win
  std::vector<SiteSpec> sites;       // after `layers`
  std::vector<std::string> exclude;  // linears left alone: substrings of "layers.3.mlp.down_proj"

  /// True when anything needs calibrated statistics (waterfill, klt, centering, smoothing).
  bool needs_calibration() const;
  /// True when statistics of quantized rows are among them (waterfill, centering).
  bool needs_ranges() const;
  /// True when the feature transform has calibrated factors, or is learned.
  bool needs_smoothing() const;
  bool needs_learning() const;
  /// True when the layers work in another basis whether something is quantized or not.
  bool changes_basis() const { return feature == "quarot" || feature == "flatquant"; }
  /// True when the codes of weights depend on a text (gptq).
  bool needs_weight_calibration() const;
  /// True when nothing is quantized: the plain model.
  bool is_plain() const;
};

/// The recipe of one layer: `layers` applied and emptied.
Recipe recipe_for_layer(const Recipe& recipe, int64_t layer);
/// How the tensor `site` ("layers.3.v") of this recipe of its layer is quantized, `sites` applied.
TokenSpec spec_of_site(const Recipe& recipe, const std::string& site);
/// 3 of "layers.3.attn_in", ...; -1 of what is no site.
int64_t layer_of_site(const std::string& site);
/// Throws std::invalid_argument when `layers` or `sites` name one that a model of `count` layers
/// lacks.
void check_layers(const Recipe& recipe, int64_t count);

/// True when `exclude` names one of these linears, which share an input: all of them stay plain.
bool excludes(const Recipe& recipe, const std::vector<std::string>& linears);

/// JSON with "schema": 1 and every field explicit.
Json to_json(const Recipe& recipe);
/// The inverse; unknown keys, unknown names and values out of range throw std::invalid_argument
/// naming key, value and what is allowed. Missing keys take their defaults, except "schema".
Recipe recipe_from_json(const Json& json);
/// A preset's name (PRESETS: "w4a4kv4-stamp", ...) or the path of a JSON file.
Recipe load_recipe(const std::string& name_or_path);
/// Names of the presets built into the program.
std::vector<std::string> preset_names();
/// Throws std::invalid_argument when a field is out of range or fields do not fit together: key,
/// value, what is allowed. At most 1024 `layers` (ranges: 16 KiB in all) and 6144 `sites`.
void check(const Recipe& recipe);
/// The same for one part; `where` is its key in the recipe ("activations").
void check(const TokenSpec& spec, const std::string& where);
/// The layers of a range such as "0-1,15", as [first, last] pairs in the order given. Throws
/// std::invalid_argument naming `where` unless the text has that form, indices are below 10000 and
/// no pair is reversed.
std::vector<std::pair<int64_t, int64_t>> parse_layer_range(const std::string& text,
                                                           const std::string& where);

}  // namespace stamp
