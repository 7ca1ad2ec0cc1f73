#pragma once
// The only place where a recipe meets a weight. A Linear is one input shared by one or more weight
// matrices (q, k and v; gate and up), so that the input is rotated, transformed and quantized once.
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stamp/core/communicator.h"
#include "stamp/core/phase_timer.h"
#include "stamp/core/tensor.h"
#include "stamp/nn/integer_matmul.h"
#include "stamp/nn/site_map.h"
#include "stamp/quant/activation_codes.h"
#include "stamp/quant/calibration.h"
#include "stamp/quant/fixed_point.h"
#include "stamp/quant/metrics.h"
#include "stamp/quant/packed_weight.h"
#include "stamp/quant/recipe.h"
#include "stamp/quant/stored_weight.h"
#include "stamp/quant/token_quantizer.h"

namespace stamp {

/// Called with what passes through a model while it runs; used for calibration and measurement. The
/// views are valid during the call only.
struct Observer {
  virtual ~Observer() = default;
  /// Input of the linear group `site` ("layers.0.attn_in"), before rotation and centering, at token
  /// `position`.
  virtual void on_input(const std::string& site, ConstFloatView x, int64_t position) {
    (void)site, (void)x, (void)position;
  }
  /// K or V of one layer ("layers.0.k") as [tokens, kv_heads * head_dim], after RoPE and rotation,
  /// unquantized.
  virtual void on_kv(const std::string& site, ConstFloatView x, int64_t position) {
    (void)site, (void)x, (void)position;
  }
  /// Residual stream after layer i, and "embed" / "final_norm".
  virtual void on_hidden(const std::string& name, ConstFloatView x) { (void)name, (void)x; }
  /// When true every quantized linear also computes its unquantized output for the same input.
  virtual bool wants_linear_error() const { return false; }
  virtual void on_linear_error(const std::string& linear, const Sqnr& sqnr) {
    (void)linear, (void)sqnr;
  }
};

enum class Compute { kF32, kBF16 };

/// Everything mutable that a forward pass needs besides the cache.
struct ForwardContext {
  Compute compute = Compute::kF32;
  Observer* observer = nullptr;
  PhaseTimes* phases = nullptr;  // null: not timed
  Matrix scratch;                // a linear's input in its quantized form
  Matrix branch;                 // an output on its way into another
  Matrix partial;                // what this process adds to a sum of several
  ActivationCodes codes;         // the same as integers
  FixedPointCodes fixed_point;   // a linear's unquantized input for integer weights
};

/// What a weight adds beside its codes: x down^T up^T of the mapped, unquantized input x.
struct LinearBranch {
  TensorView up, down;  // [out_dim, rank], [rank, in_dim]
};

/// One weight matrix of a Linear as found in the file: plain, or quantized by this program.
struct LinearWeight {
  std::string name;                // "layers.0.self_attn.q_proj": exclusions and reports
  TensorView weight;               // [out_dim, in_dim], F32 / F16 / BF16, must outlive the Linear
  std::optional<TensorView> bias;  // [out_dim]
  /// `weight` rotated and quantized. When `weight` has no data, the centering term is merged into
  /// `bias` already.
  std::optional<StoredWeight> stored;
  std::optional<LinearBranch> branch;  // of stored codes; none: they stand for the whole weight

  bool is_plain() const { return weight.data != nullptr; }
};

/// The features of a linear's input that this process holds; others hold the rest and run the same
/// linear at the same time.
struct InputPart {
  int64_t first = 0, count = 0;
  Communicator* processes = nullptr;  // null: all features are here
};

class Linear {
 public:
  /// `site` names the shared input, mapped by site_map() when something is quantized. `head_dim` >
  /// 0 when the input is made of heads (o_proj). Plain recipes keep the mapped weight and copy
  /// nothing (unless its blocks hold codes that products of integers can use); others keep a
  /// rotated, quantized copy: packed codes with kInteger (see integer()), fp32 values otherwise.
  /// When the recipe excludes one of the weights (see Recipe::exclude) the whole group stays plain,
  /// since they share their input. Throws std::invalid_argument for shapes that do not fit;
  /// std::runtime_error when calibration lacks `site` but the recipe needs it.
  Linear(std::string site, std::vector<LinearWeight> weights, const Recipe& recipe,
         const Calibration* calibration, int64_t head_dim = 0,
         Execution execution = Execution::kInteger);
  /// The same in a basis made elsewhere, which holds even where nothing is quantized. With a part
  /// of the input, weights and basis are those of all features; of them only the part's columns are
  /// kept, as they are in the whole: each process adds what its features give, and scales of the
  /// input span the features of all. Throws std::invalid_argument where the basis or a scale group
  /// mixes features of the part with others, and for inputs whose quantization is simulated.
  Linear(std::string site, std::vector<LinearWeight> weights, const Recipe& recipe,
         const Calibration* calibration, GroupBasis basis, Execution execution,
         InputPart input = {});

  /// outputs[i] := X^ W_i^T + b_i for x [tokens, in_dim], whose tokens are those of `rows`; each
  /// output is reshaped to [tokens, out_dim_i]. What a sequence gets is, bit for bit, what it gets
  /// without the others. X^ = Q(x T - mean) with the quantized W T^-T,
  /// and mean (W T^-T)^T in the bias; X^ = x and the weight as loaded where nothing is quantized.
  /// `x` is not changed. outputs.size() must be parts().
  void forward(ConstFloatView x, TokenRows rows, std::span<Matrix* const> outputs,
               ForwardContext& context) const;
  /// The same for a linear with one weight: out := or, with `add`, += what forward() gives.
  void forward_into(ConstFloatView x, TokenRows rows, FloatView out, bool add,
                    ForwardContext& context) const;
  /// out := silu(y_0) * y_1 for the outputs y of a linear with two weights of one shape.
  void forward_gated(ConstFloatView x, TokenRows rows, Matrix& out, ForwardContext& context) const;

  int64_t in_dim() const { return in_dim_; }
  size_t parts() const { return parts_.size(); }
  /// A weight as it was given, of plain ones the part's columns.
  const LinearWeight& source(size_t part) const { return parts_[part].source; }
  const std::string& site() const { return site_; }
  /// True when the recipe left this group alone although it quantizes others.
  bool excluded() const { return excluded_; }
  /// True when products run on integers. They do when weights have at most 8 bits, symmetric, in
  /// groups of a multiple of 8, and the input's codes are bytes or it is not quantized (then 24-bit
  /// fixed point).
  bool integer() const { return packed() && execution_ == Execution::kInteger; }
  /// True when the recipe quantizes this linear but fp32 products stand for the integers.
  bool simulated() const { return arithmetic_ != Arithmetic::kPlain && !integer(); }
  /// Bytes of weights that one token reads.
  int64_t weight_bytes() const;
  /// The Hadamard rotation of the input, null without one.
  const HadamardPlan* rotation() const {
    return basis_.input.hadamard ? &*basis_.input.hadamard : nullptr;
  }
  /// Data and scale bits of this input for a sequence; 16 per element when it is not quantized.
  BitCount count_bits(int64_t tokens) const;

 private:
  /// kPlain: nothing is rounded; kValues: fp32 products of values rounded to their grids.
  enum class Arithmetic { kPlain, kValues, kCodes, kFixedPoint };
  bool packed() const {
    return arithmetic_ == Arithmetic::kCodes || arithmetic_ == Arithmetic::kFixedPoint;
  }
  struct Part {
    LinearWeight source;
    AlignedBuffer columns;  // own columns of a plain source.weight; empty: all
    int64_t out_dim = 0;
    Matrix converted;         // rotated and quantized values; empty: packed, or source.weight
    PackedWeight packed;      // their codes; empty unless packed()
    std::vector<float> bias;  // centering merged in; empty: none
    Matrix up, down;          // of the branch; empty: none

    TensorView weight() const;
  };
  void take_part();
  void keep_own_columns(Part& part) const;
  Arithmetic choose(const WeightSpec& spec) const;
  bool may_keep_codes(const std::vector<LinearWeight>& weights) const;
  Part make_part(LinearWeight source, size_t index, const WeightSpec& spec) const;
  void convert(Part& part, size_t index, const WeightSpec& spec) const;
  void fill_with_blocks(Part& part, int64_t first, int64_t rows) const;
  void fill_with_codes(Part& part, const StoredWeight& codes, int64_t first) const;
  void check_input(ConstFloatView x, size_t outputs) const;
  ConstFloatView quantized_input(ConstFloatView x, TokenRows rows, Matrix& scratch) const;
  void run(ConstFloatView x, TokenRows rows, std::span<const FloatView> outputs, bool add,
           ForwardContext& context) const;
  void encode(ConstFloatView x, TokenRows rows, ForwardContext& context) const;
  void multiply(std::span<const IntegerProduct> products, bool add, ForwardContext& context) const;
  void add_branches(ConstFloatView x, TokenRows rows, std::span<const FloatView> outputs) const;
  void run_together(ConstFloatView x, TokenRows rows, FloatView out, bool add,
                    ForwardContext& context) const;
  bool has_branches() const { return parts_[0].up.size() > 0; }
  void report_errors(ConstFloatView x, std::span<const FloatView> outputs,
                     ForwardContext& context) const;
  void observe(ConstFloatView x, TokenRows rows, const ForwardContext& context) const;
  bool measures_errors(const ForwardContext& context) const {
    return !input_.processes && context.observer && context.observer->wants_linear_error();
  }

  std::string site_;
  int64_t in_dim_ = 0;    // of x
  int64_t features_ = 0;  // of weights and basis
  InputPart input_;
  bool excluded_ = false;
  Execution execution_;
  Arithmetic arithmetic_ = Arithmetic::kPlain;
  bool keeps_codes_ = false;  // of blocks: packed as the file has them
  GroupBasis basis_;
  TokenQuantizer quantizer_;
  std::vector<Part> parts_;
};

}  // namespace stamp
