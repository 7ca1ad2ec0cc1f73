#include "array.h"

#include <algorithm>
#include <limits>

#include "stamp/core/error.h"

namespace stamp::python {
namespace {

template <class Array>
FloatView checked_view(const nb::object& object, const char* name) {
  Array array;
  const bool good =
      nb::try_cast<Array>(object, array, false) && array.ndim() == 2 &&
      array.dtype() == nb::dtype<float>() && (array.shape(1) <= 1 || array.stride(1) == 1) &&
      (array.shape(0) <= 1 || array.stride(0) == static_cast<int64_t>(array.shape(1)));
  if (!good)
    throw_argument(
        "{}: expected a float32 array [rows, columns] in C order{}", name,
        std::is_same_v<Array, nb::ndarray<nb::device::cpu>> ? " that may be written" : "");
  const auto rows = static_cast<int64_t>(array.shape(0)),
             cols = static_cast<int64_t>(array.shape(1));
  return {static_cast<float*>(const_cast<void*>(static_cast<const void*>(array.data()))), rows,
          cols, cols};
}

}  // namespace

ConstFloatView const_view_of(const nb::object& array, const char* name) {
  return checked_view<nb::ndarray<nb::ro, nb::device::cpu>>(array, name);
}

FloatView view_of(const nb::object& array, const char* name) {
  return checked_view<nb::ndarray<nb::device::cpu>>(array, name);
}

nb::object new_matrix(int64_t rows, int64_t cols) {
  const auto numpy = nb::module_::import_("numpy");
  return numpy.attr("empty")(nb::make_tuple(rows, cols), numpy.attr("float32"));
}

nb::object output_of(const nb::object& x, const nb::object& out) {
  const ConstFloatView from = const_view_of(x, "x");
  const nb::object result = out.is_none() ? new_matrix(from.rows, from.cols) : out;
  const FloatView to = view_of(result, "out");
  if (to.rows != from.rows || to.cols != from.cols)
    throw_argument("out: expected [{}, {}] as x, got [{}, {}]", from.rows, from.cols, to.rows,
                   to.cols);
  if (to.data != from.data) std::copy_n(from.data, from.rows * from.cols, to.data);
  return result;
}

std::vector<int32_t> ids_of(const nb::object& ids) {
  std::vector<int32_t> result;
  for (const nb::handle item : ids) {
    const int64_t id = nb::cast<int64_t>(nb::module_::import_("operator").attr("index")(item));
    if (id < 0 || id > std::numeric_limits<int32_t>::max())
      throw_argument("ids: expected numbers from 0, got {}", id);
    result.push_back(static_cast<int32_t>(id));
  }
  return result;
}

}  // namespace stamp::python
