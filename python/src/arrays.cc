// Transforms of NumPy arrays, in place or into another array.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "array.h"
#include "call.h"
#include "stamp/quant/feature_transform.h"
#include "stamp/quant/sequence_transform.h"

namespace stamp::python {
namespace {

std::vector<std::string> transform_names() {
  std::vector<std::string> names;
  for (const SequenceTransform& row : sequence_transforms()) names.emplace_back(row.name);
  return names;
}

nb::object apply_transform(const nb::object& x, const std::string& name, int levels,
                           int64_t grid_width, bool inverse, const nb::object& out) {
  const SequenceTransform& transform = sequence_transform(name);
  nb::object result = output_of(x, out);
  const FloatView view = view_of(result, "out");
  TransformParams params(levels);
  params.grid_width = grid_width;
  call([&] {
    (inverse ? transform.inverse : transform.forward)(view, params);
    return 0;
  });
  return result;
}

nb::object rotate(const nb::object& x, int64_t head_dim, bool inverse, const nb::object& out) {
  nb::object result = output_of(x, out);
  const FloatView view = view_of(result, "out");
  HadamardPlan plan = plan_hadamard(view.cols, head_dim);
  if (inverse) plan = inverse_of(plan);
  call([&] {
    apply_hadamard(view, plan);
    return 0;
  });
  return result;
}

/// Order of a rotation of so many columns, K of order = K 2^k, and H_K as an array.
nb::tuple hadamard_parts(int64_t columns, int64_t head_dim) {
  const HadamardPlan plan = plan_hadamard(columns, head_dim);
  const nb::object factor = new_matrix(plan.odd, plan.odd);
  const Matrix matrix = hadamard_matrix(plan.odd);
  std::copy_n(matrix.data(), matrix.size(), view_of(factor, "factor").data);
  return nb::make_tuple(plan.order, plan.odd, factor);
}

}  // namespace

void add_arrays(nb::module_& module) {
  using namespace nb::literals;
  module.def("sequence_transforms", &transform_names, "Names of the transforms along tokens.");
  module.def("transform", &apply_transform, "x"_a, "name"_a = "haar", "levels"_a = 64,
             "grid_width"_a = 0, "inverse"_a = false, "out"_a.none() = nb::none(),
             nb::sig("def transform(x: numpy.typing.NDArray[numpy.float32], name: str = 'haar', "
                     "levels: int = 64, grid_width: int = 0, inverse: bool = False, "
                     "out: numpy.typing.NDArray[numpy.float32] | None = None) -> "
                     "numpy.typing.NDArray[numpy.float32]"),
             R"(L x, or L^-1 x, of a float32 array [tokens, columns] in C order.

`levels` of a wavelet are as many as the rows allow at most; `grid_width` is that of the
two-dimensional transforms (0: as square as can be). The result is a new array, or `out`,
which may be `x`: no other memory is used.

>>> x = np.array([[1], [1], [3], [5]], dtype=np.float32)
>>> print(stamp_quant.transform(x, 'haar', levels=1).ravel().round(3))
[ 1.414  5.657  0.    -1.414]
>>> y = stamp_quant.transform(x, 'dct', out=x)
>>> y is x, stamp_quant.transform(y, 'dct', inverse=True).ravel().round(3).tolist()
(True, [1.0, 1.0, 3.0, 5.0])
)");
  module.def(
      "hadamard", &rotate, "x"_a, "head_dim"_a = 0, "inverse"_a = false,
      "out"_a.none() = nb::none(),
      nb::sig("def hadamard(x: numpy.typing.NDArray[numpy.float32], head_dim: int = 0, "
              "inverse: bool = False, out: numpy.typing.NDArray[numpy.float32] | None = None) -> "
              "numpy.typing.NDArray[numpy.float32]"),
      R"(x R of a float32 array [tokens, columns] for the orthonormal Hadamard rotation of recipes.

>>> x = np.eye(4, dtype=np.float32)
>>> stamp_quant.hadamard(x)[0].tolist()
[0.5, 0.5, 0.5, 0.5]
)");
  module.def("_hadamard_parts", &hadamard_parts, "columns"_a, "head_dim"_a = 0);
  module.def(
      "hadamard_plan",
      [](int64_t columns, int64_t head_dim) {
        return plan_hadamard(columns, head_dim).description;
      },
      "columns"_a, "head_dim"_a = 0,
      "How hadamard() covers so many columns.\n\n>>> stamp_quant.hadamard_plan(384)\n"
      "'H_384 = H_12 x H_32'\n");
}

}  // namespace stamp::python
