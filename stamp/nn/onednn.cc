#include "stamp/nn/onednn.h"

#include <unordered_map>

#include "stamp/core/cpu_features.h"
#include "stamp/core/error.h"
#include "stamp/core/memory_reserve.h"
#include "stamp/nn/onednn_engine.h"

namespace stamp {
namespace {

using dnnl::memory;

dnnl::cpu_isa limit_of(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return dnnl::cpu_isa::sse41;
    case Isa::kAvx2:
      return dnnl::cpu_isa::avx2;
    case Isa::kAvxVnni:
      return dnnl::cpu_isa::avx2_vnni;
    case Isa::kAvx512:
      return dnnl::cpu_isa::avx512_core;
    case Isa::kAvx512Vnni:  // bf16 is used or not as has_fast_bf16() says
      return dnnl::cpu_isa::avx512_core_bf16;
    case Isa::kAmx:
    case Isa::kNeon:  // oneDNN chooses by itself among those of ARM
    case Isa::kNeonDotprod:
    case Isa::kNeonI8mm:
      return dnnl::cpu_isa::all;
  }
  return dnnl::cpu_isa::all;
}

memory::data_type type_of(DType dtype) {
  return dtype == DType::kBF16 ? memory::data_type::bf16 : memory::data_type::f32;
}

void run(const DenseOperand& x, const DenseOperand& weight, const float* bias, FloatView out) {
  const memory::desc source({x.rows, x.cols}, type_of(x.dtype), {x.stride, 1});
  const memory::desc weights({weight.cols, weight.rows}, type_of(weight.dtype), {1, weight.stride});
  const memory::desc result({out.rows, out.cols}, memory::data_type::f32, {out.stride, 1});
  const memory::desc row({1, out.cols}, memory::data_type::f32, memory::format_tag::ab);
  const dnnl::matmul::desc operation = bias ? dnnl::matmul::desc(source, weights, row, result)
                                            : dnnl::matmul::desc(source, weights, result);
  const dnnl::matmul primitive(dnnl::matmul::primitive_desc(operation, onednn_engine()));
  std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC, onednn_view(source, x.data)},
      {DNNL_ARG_WEIGHTS, onednn_view(weights, weight.data)},
      {DNNL_ARG_DST, onednn_view(result, out.data)}};
  if (bias) arguments.emplace(DNNL_ARG_BIAS, onednn_view(row, bias));
  dnnl::stream stream(onednn_engine());
  primitive.execute(stream, arguments);
  stream.wait();
}

}  // namespace

dnnl::engine& onednn_engine() {
  static dnnl::engine instance = [] {
    dnnl::set_max_cpu_isa(limit_of(active_isa()));
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return instance;
}

void require_onednn_memory() {
  constexpr int64_t kCodeBytes = int64_t{32} << 20;  // 256 KiB per kernel, tens of them
  require_address_space(kCodeBytes);
}

void onednn_matmul_transposed(const DenseOperand& x, const DenseOperand& weight, const float* bias,
                              FloatView out) {
  require_onednn_memory();
  try {
    run(x, weight, bias, out);
  } catch (const dnnl::error& error) {
    throw_runtime("oneDNN: matmul [{}, {}] x [{}, {}] failed: {}", x.rows, x.cols, weight.cols,
                  weight.rows, error.what());
  }
}

}  // namespace stamp
