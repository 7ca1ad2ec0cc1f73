#include "stamp/io/packed_linears.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "stamp/core/parallel.h"
#include "stamp/io/config_reader.h"
#include "stamp/io/mmap.h"

namespace stamp {
namespace {

constexpr int64_t kBlock = 32;       // elements of a block of Q4_0 and Q8_0
constexpr int64_t kRowsAtOnce = 64;  // outputs that are unpacked together

enum class Packing { kGptq, kAwq, kCompressedTensors };

/// One packed linear as found in the files.
struct PackedLinear {
  std::string name;
  Packing packing = Packing::kGptq;
  int bits = 4;
  int64_t out_dim = 0, in_dim = 0, groups = 0;
  TensorView words, scales;
  std::vector<int16_t> zeros;      // [out_dim, groups]
  std::vector<int32_t> groups_of;  // of input channels

  int fields() const { return 32 / bits; }
  uint32_t mask() const { return (1u << bits) - 1; }
  float scale(int64_t o, int64_t g) const {
    float value;
    to_f32(scales, packing == Packing::kCompressedTensors ? o * groups + g : g * out_dim + o,
           {&value, 1});
    return value;
  }
};

uint32_t field(const TensorView& words, int64_t index, int shift, uint32_t mask) {
  return words.as<uint32_t>()[index] >> shift & mask;
}

/// Nibble of AWQ that holds output j of eight.
int awq_nibble(int64_t j) {
  constexpr int kNibbles[] = {0, 4, 1, 5, 2, 6, 3, 7};
  return kNibbles[j];
}

/// Codes of outputs [first, first + rows) as stored, [rows, in_dim].
void read_codes(const PackedLinear& linear, int64_t first, int64_t rows, int16_t* codes) {
  const int64_t in = linear.in_dim, out = linear.out_dim;
  const int fields = linear.fields(), bits = linear.bits;
  const uint32_t mask = linear.mask();
  if (linear.packing == Packing::kCompressedTensors) {
    const int64_t row_words = linear.words.shape[1];
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t k = 0; k < in; ++k)
        codes[i * in + k] =
            static_cast<int16_t>(field(linear.words, (first + i) * row_words + k / fields,
                                       static_cast<int>(k % fields) * bits, mask));
    return;
  }
  const bool awq = linear.packing == Packing::kAwq;
  for (int64_t k = 0; k < in; ++k)  // neighbouring outputs are neighbours in the file
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t o = first + i;
      codes[i * in + k] = static_cast<int16_t>(
          awq ? field(linear.words, k * (out / 8) + o / 8, awq_nibble(o % 8) * 4, mask)
              : field(linear.words, k / fields * out + o, static_cast<int>(k % fields) * bits,
                      mask));
    }
}

class Unpacker {
 public:
  Unpacker(const Json& config, const std::string& where, TensorStore& store)
      : config_(config, where + ": quantization_config"), store_(store) {
    method_ = config_.required(config_.text("quant_method"), "quant_method");
    check_config();
  }

  void unpack() {
    const std::string marker = method_ == "compressed-tensors" ? ".weight_packed" : ".qweight";
    std::vector<std::string> names;
    for (const auto& [name, view] : store_.tensors())
      if (name.ends_with(marker)) names.push_back(name.substr(0, name.size() - marker.size()));
    if (names.empty())
      throw_runtime("{}: no tensor's name ends in '{}'", store_.source().string(), marker);
    for (const std::string& name : names) {
      const PackedLinear linear = method_ == "compressed-tensors" ? compressed(name) : packed(name);
      put(linear);
    }
  }

 private:
  void check_config() {
    const auto expect = [&](const char* key, const std::string& value, const std::string& only) {
      if (value != only) config_.reject(key, fmt::format("supported is \"{}\"", only));
    };
    if (method_ == "compressed-tensors") {
      expect("format", config_.text("format").value_or(""), "pack-quantized");
      if (config_.find("kv_cache_scheme") != nullptr)
        config_.reject("kv_cache_scheme", "supported is null");
      check_schemes();
      return;
    }
    const bool awq = method_ == "awq";
    add_group_size(config_);
    bits_ = static_cast<int>(config_.required(config_.integer("bits", 1, 64), "bits"));
    if (bits_ != 4 && (awq || bits_ != 8))
      config_.reject("bits", awq ? "supported is 4" : "supported are 4 and 8");
    if (awq) return expect("version", config_.text("version").value_or("gemm"), "gemm");
    const std::string format = config_.text("checkpoint_format").value_or("gptq");
    if (format != "gptq" && format != "gptq_v2")
      config_.reject("checkpoint_format", R"(supported are "gptq" and "gptq_v2")");
    zeros_less_one_ = format == "gptq";
  }

  /// -1: one group.
  void add_group_size(const ConfigReader& from) {
    const int64_t size = from.integer("group_size", -1, int64_t{1} << 20).value_or(-1);
    if (size == 0) from.reject("group_size", "expected -1 or a number of channels");
    if (size > 0) group_sizes_.push_back(size);
  }

  /// Quantized inputs cannot be told from the tensors, so the groups must say that there are none.
  void check_schemes() {
    const auto groups = config_.required(config_.object("config_groups"), "config_groups");
    for (const auto& [name, value] : config_.find("config_groups")->items()) {
      const ConfigReader group = groups.required(groups.object(name), name);
      for (const char* key : {"input_activations", "output_activations"})
        if (group.find(key) != nullptr) group.reject(key, "supported is null");
      const auto weights = group.required(group.object("weights"), "weights");
      if (weights.text("type").value_or("int") != "int")
        weights.reject("type", "supported is \"int\"");
      add_group_size(weights);
    }
  }

  const TensorView& part(const std::string& name, DType dtype, const Shape& shape) const {
    const TensorView& view = store_.at(name);
    if (view.dtype != dtype || view.shape != shape)
      throw_runtime("{}: tensor '{}': expected {} {}, got {} {}", store_.source().string(), name,
                    dtype_name(dtype), to_string(shape), dtype_name(view.dtype),
                    to_string(view.shape));
    return view;
  }

  const TensorView& matrix(const std::string& name) const {
    const TensorView& view = store_.at(name);
    if (view.shape.size() != 2 || view.size() == 0)
      throw_runtime("{}: tensor '{}': expected a matrix, got {}", store_.source().string(), name,
                    to_string(view.shape));
    return view;
  }

  const TensorView& scales(const std::string& name) const {
    const TensorView& view = matrix(name);
    if (view.dtype != DType::kF16 && view.dtype != DType::kBF16 && view.dtype != DType::kF32)
      throw_runtime("{}: tensor '{}': expected F16, BF16 or F32, got {}", store_.source().string(),
                    name, dtype_name(view.dtype));
    return view;
  }

  /// Channels share a scale with their neighbours unless the file says which group they are in.
  void set_groups(PackedLinear& linear, const std::string& index_name) const {
    const int64_t in = linear.in_dim, groups = linear.groups;
    linear.groups_of.resize(static_cast<size_t>(in));
    if (store_.contains(index_name)) {
      const TensorView& index = part(index_name, DType::kI32, {in});
      std::copy_n(index.as<int32_t>(), in, linear.groups_of.begin());
      for (const int32_t group : linear.groups_of)
        if (group < 0 || group >= groups)
          throw_runtime("{}: tensor '{}' names group {} of {}", store_.source().string(),
                        index_name, group, groups);
      return;
    }
    if (groups == 1) return;
    const auto size = std::find_if(group_sizes_.begin(), group_sizes_.end(),
                                   [&](int64_t size) { return (in + size - 1) / size == groups; });
    if (size == group_sizes_.end())
      throw_runtime("{}: {}: {} input channels do not make {} groups of {}",
                    store_.source().string(), linear.name, in, groups,
                    fmt::join(group_sizes_, " or "));
    for (int64_t k = 0; k < in; ++k)
      linear.groups_of[static_cast<size_t>(k)] = static_cast<int32_t>(k / *size);
  }

  PackedLinear packed(const std::string& name) const {
    const bool awq = method_ == "awq";
    PackedLinear linear{
        .name = name, .packing = awq ? Packing::kAwq : Packing::kGptq, .bits = bits_};
    const int fields = linear.fields();
    const TensorView& words = matrix(name + ".qweight");
    linear.in_dim = words.shape[0] * (awq ? 1 : fields);
    linear.out_dim = words.shape[1] * (awq ? fields : 1);
    linear.words = part(name + ".qweight", DType::kI32, words.shape);
    linear.scales = scales(name + ".scales");
    linear.groups = linear.scales.shape[0];
    const int64_t out = linear.out_dim;
    part(name + ".scales", linear.scales.dtype, {linear.groups, out});
    if (out % fields != 0)
      throw_runtime("{}: {}: {} outputs are no whole words of {}", store_.source().string(), name,
                    out, fields);
    set_groups(linear, name + ".g_idx");
    const TensorView& zeros = part(name + ".qzeros", DType::kI32, {linear.groups, out / fields});
    linear.zeros.resize(static_cast<size_t>(out * linear.groups));
    for (int64_t g = 0; g < linear.groups; ++g)
      for (int64_t o = 0; o < out; ++o) {
        const int place = awq ? awq_nibble(o % 8) : static_cast<int>(o % fields);
        uint32_t zero = field(zeros, g * (out / fields) + o / fields, place * bits_, linear.mask());
        if (!awq && zeros_less_one_) zero = (zero + 1) & linear.mask();
        linear.zeros[static_cast<size_t>(o * linear.groups + g)] = static_cast<int16_t>(zero);
      }
    return linear;
  }

  PackedLinear compressed(const std::string& name) const {
    PackedLinear linear{.name = name, .packing = Packing::kCompressedTensors};
    const TensorView& shape = part(name + ".weight_shape", shape_type(name), {2});
    const auto size = [&](int i) {
      return shape.dtype == DType::kI64 ? shape.as<int64_t>()[i] : shape.as<int32_t>()[i];
    };
    linear.out_dim = size(0), linear.in_dim = size(1);
    const TensorView& words = matrix(name + ".weight_packed");
    if (linear.in_dim < 1 || words.shape[0] != linear.out_dim || linear.in_dim > words.shape[1] * 8)
      throw_runtime("{}: {}: words {} do not hold a weight [{}, {}] of 4 or 8 bits",
                    store_.source().string(), name, to_string(words.shape), linear.out_dim,
                    linear.in_dim);
    linear.bits = (linear.in_dim + 7) / 8 == words.shape[1] ? 4 : 8;
    const int fields = linear.fields();
    const int64_t row_words = (linear.in_dim + fields - 1) / fields;
    linear.words = part(name + ".weight_packed", DType::kI32, {linear.out_dim, row_words});
    linear.scales = scales(name + ".weight_scale");
    linear.groups = linear.scales.shape[1];
    part(name + ".weight_scale", linear.scales.dtype, {linear.out_dim, linear.groups});
    set_groups(linear, name + ".weight_g_idx");
    const auto middle = static_cast<int16_t>(1 << (linear.bits - 1));
    linear.zeros.assign(static_cast<size_t>(linear.out_dim * linear.groups), middle);
    const std::string zero_name = name + ".weight_zero_point";
    if (!store_.contains(zero_name)) return linear;
    const int64_t zero_rows = (linear.out_dim + fields - 1) / fields;
    const TensorView& zeros = part(zero_name, DType::kI32, {zero_rows, linear.groups});
    for (int64_t o = 0; o < linear.out_dim; ++o)
      for (int64_t g = 0; g < linear.groups; ++g)
        linear.zeros[static_cast<size_t>(o * linear.groups + g)] =
            static_cast<int16_t>(field(zeros, o / fields * linear.groups + g,
                                       static_cast<int>(o % fields) * linear.bits, linear.mask()));
    return linear;
  }

  DType shape_type(const std::string& name) const {
    return store_.at(name + ".weight_shape").dtype == DType::kI32 ? DType::kI32 : DType::kI64;
  }

  /// The type that holds the values exactly, or F16.
  static DType type_for(const PackedLinear& linear) {
    const auto& groups_of = linear.groups_of;
    if (linear.in_dim % kBlock != 0) return DType::kF16;
    for (int64_t first = 0; first < linear.in_dim; first += kBlock)
      for (int64_t k = first + 1; k < first + kBlock; ++k)
        if (groups_of[static_cast<size_t>(k)] != groups_of[static_cast<size_t>(first)])
          return DType::kF16;
    if (linear.scales.dtype != DType::kF16)
      for (int64_t o = 0; o < linear.out_dim; ++o)
        for (int64_t g = 0; g < linear.groups; ++g)
          if (const float scale = linear.scale(o, g); round_to_f16(scale) != scale)
            return DType::kF16;
    const int16_t middle = static_cast<int16_t>(1 << (linear.bits - 1));
    const bool symmetric = std::all_of(linear.zeros.begin(), linear.zeros.end(),
                                       [&](int16_t zero) { return zero == middle; });
    if (linear.bits == 4) return symmetric ? DType::kQ4_0 : DType::kQ8_0;
    return symmetric ? DType::kQ8_0 : DType::kF16;
  }

  /// One row of blocks: an fp16 scale, then codes less their zero.
  static void write_blocks(const PackedLinear& linear, int64_t o, const int16_t* codes, DType dtype,
                           uint8_t* out) {
    for (int64_t first = 0; first < linear.in_dim; first += kBlock, out += dtype_size(dtype)) {
      const int64_t g = linear.groups_of[static_cast<size_t>(first)];
      const f16 scale = f32_to_f16(linear.scale(o, g));
      std::memcpy(out, &scale, sizeof scale);
      const int16_t zero = linear.zeros[static_cast<size_t>(o * linear.groups + g)];
      const int16_t* own = codes + first;
      if (dtype == DType::kQ8_0)
        for (int64_t i = 0; i < kBlock; ++i)
          out[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(own[i] - zero));
      else
        for (int64_t i = 0; i < kBlock / 2; ++i)
          out[2 + i] = static_cast<uint8_t>(own[i] | own[i + kBlock / 2] << 4);
    }
  }

  void write_rounded(const PackedLinear& linear, int64_t o, const int16_t* codes, f16* out) const {
    for (int64_t k = 0; k < linear.in_dim; ++k) {
      const int64_t g = linear.groups_of[static_cast<size_t>(k)];
      const int16_t zero = linear.zeros[static_cast<size_t>(o * linear.groups + g)];
      const float value = linear.scale(o, g) * static_cast<float>(codes[k] - zero);
      out[k] = f32_to_f16(value);
      if (!std::isfinite(f16_to_f32(out[k])))
        throw_runtime("{}: {}: the value {} does not fit into fp16", store_.source().string(),
                      linear.name, value);
    }
  }

  void put(const PackedLinear& linear) {
    const DType dtype = type_for(linear);
    TensorView weight{dtype, {linear.out_dim, linear.in_dim}, nullptr};
    const int64_t row_bytes = dtype_bytes(dtype, linear.in_dim);
    auto buffer = shared_buffer(weight.bytes());
    weight.data = buffer->data();
    auto* data = static_cast<uint8_t*>(buffer->data());
    parallel_for((linear.out_dim + kRowsAtOnce - 1) / kRowsAtOnce, [&](int64_t block) {
      const int64_t first = block * kRowsAtOnce;
      const int64_t rows = std::min(kRowsAtOnce, linear.out_dim - first);
      std::vector<int16_t> codes(static_cast<size_t>(rows * linear.in_dim));
      read_codes(linear, first, rows, codes.data());
      for (int64_t i = 0; i < rows; ++i) {
        uint8_t* out = data + (first + i) * row_bytes;
        const int16_t* own = codes.data() + i * linear.in_dim;
        if (dtype == DType::kF16)
          write_rounded(linear, first + i, own, reinterpret_cast<f16*>(out));
        else
          write_blocks(linear, first + i, own, dtype, out);
      }
    });
    drop_mapped_pages(linear.words.data, linear.words.bytes());
    for (const char* suffix :
         {".qweight", ".qzeros", ".scales", ".g_idx", ".weight_packed", ".weight_scale",
          ".weight_zero_point", ".weight_shape", ".weight_g_idx"})
      store_.remove(linear.name + suffix);
    store_.add({{linear.name + ".weight", std::move(weight)}}, std::move(buffer),
               store_.source().string());
  }

  ConfigReader config_;
  TensorStore& store_;
  std::string method_;
  int bits_ = 4;
  std::vector<int64_t> group_sizes_;  // that the config names
  bool zeros_less_one_ = false;
};

}  // namespace

bool is_packed_method(const std::string& quant_method) {
  return quant_method == "gptq" || quant_method == "awq" || quant_method == "compressed-tensors";
}

void unpack_linears(const Json& config, const std::string& where, TensorStore& store) {
  Unpacker(config, where, store).unpack();
}

}  // namespace stamp
