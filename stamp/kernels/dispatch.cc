#include <array>
#include <iterator>

#include "stamp/core/cpu_features.h"
#include "stamp/core/error.h"
#include "stamp/kernels/kernels.h"
#include "stamp/kernels/tables.h"

namespace stamp {
namespace {

// In the order of Isa; null where this build has nothing beyond the base.
constexpr std::array<const KernelTable*, std::size(kAllIsas)> kTables = {
    &kScalarKernels,
#if defined(__x86_64__)
    &kAvx2Kernels,   &kAvxVnniKernels, &kAvx512Kernels, &kAvx512VnniKernels, &kAmxKernels,
#elif defined(__aarch64__)
    nullptr,           nullptr, nullptr, nullptr, nullptr, &kNeonKernels, &kNeonDotprodKernels,
    &kNeonI8mmKernels,
#endif
};

void overlay(KernelTable& table, const KernelTable& upper) {
#define STAMP_KERNEL(name, ...) \
  if (upper.name) table.name = upper.name;
#include "stamp/kernels/kernels.def"
#undef STAMP_KERNEL
}

KernelTable build(Isa isa) {
  KernelTable table;
  if (isa != Isa::kScalar) table = build(isa_base(isa));
  if (const KernelTable* own = kTables[static_cast<size_t>(isa)]) overlay(table, *own);
  return table;
}

}  // namespace

const KernelTable& kernels() {
  static const KernelTable table = build(active_isa());
  return table;
}

const KernelTable& kernels_of(Isa isa) {
  static const auto tables = [] {
    std::array<KernelTable, std::size(kAllIsas)> result;
    for (const Isa each : kAllIsas) result[static_cast<size_t>(each)] = build(each);
    return result;
  }();
  if (!has_isa(isa))
    throw_argument("kernels: this processor has no {}; best is {}", isa_name(isa),
                   isa_name(best_isa()));
  return tables[static_cast<size_t>(isa)];
}

}  // namespace stamp
