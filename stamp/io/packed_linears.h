#pragma once
// Linears that other programs stored in integers of 4 or 8 bits: GPTQ, AWQ, and compressed-tensors.
#include "stamp/io/json.h"
#include "stamp/io/tensor_store.h"

namespace stamp {

/// True for a quantization_config of a program other than this one that unpack_linears() reads:
/// quant_method "gptq", "awq" or "compressed-tensors".
bool is_packed_method(const std::string& quant_method);

/// Puts a tensor NAME.weight [out_dim, in_dim] in the place of the parts of every packed linear,
/// with the values
///   scale[g, o] (code[k, o] - zero[g, o]),  g the group of input channel k:
///   gptq                NAME.qweight [in / (32 / bits), out], .qzeros [groups, out / (32 / bits)],
///                       .scales [groups, out], .g_idx [in] (may be absent); zeros are stored less
///                       one unless checkpoint_format is "gptq_v2"
///   awq                 .qweight [in, out / 8], .qzeros [groups, out / 8], .scales, of 4 bits,
///                       eight outputs of a word in the order 0 2 4 6 1 3 5 7 (version "gemm")
///   compressed-tensors  .weight_packed [out, in / (32 / bits)], .weight_scale [out, groups],
///                       .weight_zero_point [out / (32 / bits), groups] and .weight_g_idx (may be
///                       absent), .weight_shape (format "pack-quantized")
/// The tensors made hold the codes exactly where they can: Q4_0 where zeros are all in the middle,
/// Q8_0 where they are not (the difference to the zero), each with the fp16 scale of its group for
/// every 32 channels. Where they cannot (8 bits with zeros, channels of a group that are not
/// neighbours as with desc_act, scales that fp16 does not hold exactly, groups that are no multiple
/// of 32), values are rounded to fp16. `where` is the file that `config` (quantization_config)
/// stands in. Throws std::runtime_error naming file, tensor and reason for widths, formats and
/// versions that are unsupported, parts that are missing or do not fit together, groups that do not
/// exist and values beyond fp16.
void unpack_linears(const Json& config, const std::string& where, TensorStore& store);

}  // namespace stamp
