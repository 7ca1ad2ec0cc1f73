#include <array>

#include "stamp/core/cpu_features.h"
#include "stamp/core/error.h"
#include "stamp/kernels/kernels.h"
#include "stamp/kernels/tables.h"

namespace stamp {
namespace {

#if defined(__x86_64__)
constexpr std::array<const KernelTable*, 3> kTables = {&kScalarKernels, &kAvx2Kernels,
                                                       &kAvx512Kernels};
#else
constexpr std::array<const KernelTable*, 1> kTables = {&kScalarKernels};
#endif

void overlay(KernelTable& table, const KernelTable& upper) {
#define STAMP_KERNEL(name, ...) \
  if (upper.name) table.name = upper.name;
#include "stamp/kernels/kernels.def"
#undef STAMP_KERNEL
}

KernelTable build(Isa isa) {
  KernelTable table;
  for (size_t i = 0; i <= static_cast<size_t>(isa) && i < kTables.size(); ++i)
    overlay(table, *kTables[i]);
  return table;
}

}  // namespace

const KernelTable& kernels() {
  static const KernelTable table = build(active_isa());
  return table;
}

const KernelTable& kernels_of(Isa isa) {
  static const std::array<KernelTable, 3> tables = {build(Isa::kScalar), build(Isa::kAvx2),
                                                    build(Isa::kAvx512)};
  if (isa > best_isa())
    throw_argument("kernels: this processor has no {}; best is {}", isa_name(isa),
                   isa_name(best_isa()));
  return tables[static_cast<size_t>(isa)];
}

}  // namespace stamp
