#pragma once
// NumPy arrays as views of their memory.
#include <nanobind/ndarray.h>

#include <vector>

#include "module.h"
#include "stamp/core/tensor.h"

namespace stamp::python {

/// A float32 C-contiguous matrix; throws std::invalid_argument naming it for anything else.
ConstFloatView const_view_of(const nb::object& array, const char* name);
/// The same of memory that may be written.
FloatView view_of(const nb::object& array, const char* name);
/// numpy.empty([rows, cols], float32).
nb::object new_matrix(int64_t rows, int64_t cols);
/// What a function should work on in place: `out` (which may be `x`) holding x's values, a new
/// array when it is None.
nb::object output_of(const nb::object& x, const nb::object& out);
/// Token ids of any sequence of integers.
std::vector<int32_t> ids_of(const nb::object& ids);

}  // namespace stamp::python
