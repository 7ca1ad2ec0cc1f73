// Bit plans and quantizers of NumPy arrays.
#include <nanobind/stl/vector.h>

#include "array.h"
#include "call.h"
#include "keywords.h"
#include "stamp/quant/bit_plan.h"
#include "stamp/quant/feature_map.h"
#include "stamp/quant/token_quantizer.h"
#include "stamp/quant/weight_quant.h"

namespace stamp::python {
namespace {

/// A recipe with `spec` as its part `key`: the parser of recipe files reads it.
Recipe recipe_with(const char* key, const nb::dict& spec) {
  nb::dict recipe;
  recipe["schema"] = 1;
  recipe["name"] = "quantizer";
  recipe[key] = spec;
  return to_recipe(recipe);
}

struct Quantizer {
  TokenQuantizer quantizer;

  Quantizer(const nb::dict& spec, std::vector<float> range2)
      : quantizer(recipe_with("activations", spec).activations, std::move(range2)) {}

  nb::object apply(const nb::object& x, int64_t position, int64_t group,
                   const nb::object& out) const {
    nb::object result = output_of(x, out);
    const FloatView view = view_of(result, "out");
    call([&] {
      quantizer.apply(view, position, group);
      return 0;
    });
    return result;
  }
  std::vector<int> widths(int64_t tokens, int64_t sinks) const {
    const TokenQuantizer::Widths widths = quantizer.widths(tokens, sinks);
    return {widths->begin(), widths->end()};
  }
  int levels(int64_t tokens) const { return block_levels(quantizer.spec(), tokens); }
  double average_bits(int64_t tokens, int64_t columns, bool scales) const {
    const BitCount bits = quantizer.count_bits(tokens, columns);
    return scales ? bits.average_with_scales() : bits.average();
  }
};

/// In place: W R^-T in fp64.
void rotate_weight(const nb::object& weight, int64_t head_dim) {
  const FloatView view = view_of(weight, "weight");
  FeatureMap map;
  map.hadamard = plan_hadamard(view.cols, head_dim);
  call([&] {
    map_weight_rows(view, map);
    return 0;
  });
}

nb::object round_weight(const nb::object& weight, const nb::dict& spec, const nb::object& out) {
  const WeightSpec own = recipe_with("weights", spec).weights;
  nb::object result = output_of(weight, out);
  const FloatView view = view_of(result, "out");
  call([&] {
    fake_quantize_weight(view, own);
    return 0;
  });
  return result;
}

std::vector<int> fill(const std::vector<double>& weights, const std::vector<int64_t>& counts,
                      int64_t budget, int min_bits, int max_bits) {
  std::vector<Band> bands;
  for (const int64_t count : counts) {
    const int64_t first = bands.empty() ? 0 : bands.back().first + bands.back().count;
    bands.push_back({first, count});
  }
  std::vector<double> energies = weights;
  for (double& energy : energies) energy *= kEnergyPerRange2;
  return waterfill(bands, weights, energies, budget, min_bits, max_bits);
}

}  // namespace

void add_quantizers(nb::module_& module) {
  using namespace nb::literals;
  nb::class_<Quantizer>(module, "Quantizer",
                        R"(What a recipe does to the rows of one tensor: x^ = L^-1 Q(L x).

`spec` is the part "activations" of a recipe; `range2` are calibrated row ranges, which
waterfill needs.

>>> spec = {'bits': 4, 'sequence': {'transform': 'haar', 'skip_tokens': 1},
...         'plan': {'kind': 'two_level', 'high_tokens': 8}}
>>> quantizer = stamp_quant.Quantizer(spec)
>>> x = np.cumsum(np.random.default_rng(0).standard_normal((64, 32)), axis=0).astype(np.float32)
>>> error = quantizer.apply(x) - x
>>> bool(np.square(error).mean() < 0.01 * np.square(x).mean())
True
>>> quantizer.widths(64, 1)[:9], quantizer.average_bits(64, 32)
([8, 8, 8, 8, 8, 8, 8, 4, 4], 4.5625)
)")
      .def(
          nb::init<const nb::dict&, std::vector<float>>(), "spec"_a,
          "range2"_a = std::vector<float>(),
          nb::sig("def __init__(self, spec: dict, range2: collections.abc.Sequence[float] = []) -> "
                  "None"))
      .def(
          "apply", &Quantizer::apply, "x"_a, "position"_a = 0, "group"_a = 0,
          "out"_a.none() = nb::none(),
          nb::sig("def apply(self, x: numpy.typing.NDArray[numpy.float32], position: int = 0, "
                  "group: int = 0, out: numpy.typing.NDArray[numpy.float32] | None = None) -> "
                  "numpy.typing.NDArray[numpy.float32]"),
          "The reconstruction of x [tokens, columns], whose first row is token `position`; `group` "
          "columns share a scale (0: all). Into `out`, which may be `x`.")
      .def("widths", &Quantizer::widths, "tokens"_a, "sinks"_a = 0,
           "Bits of the rows of L x of one block whose first `sinks` tokens are kept out of L.")
      .def("levels", &Quantizer::levels, "tokens"_a, "Levels of a wavelet over so many tokens.")
      .def("average_bits", &Quantizer::average_bits, "tokens"_a, "columns"_a, "scales"_a = false,
           "Bits per element, sink rows included; with scales and zero points.");
  module.def("_rotate_weight", &rotate_weight, "weight"_a, "head_dim"_a = 0);
  module.def("quantize_weight", &round_weight, "weight"_a, "spec"_a, "out"_a.none() = nb::none(),
             nb::sig("def quantize_weight(weight: numpy.typing.NDArray[numpy.float32], spec: dict, "
                     "out: numpy.typing.NDArray[numpy.float32] | None = None) -> "
                     "numpy.typing.NDArray[numpy.float32]"),
             R"(The reconstruction of a weight [out, in] under the part "weights" of a recipe.

>>> w = np.linspace(-1, 1, 8, dtype=np.float32)[None]
>>> stamp_quant.quantize_weight(w, {'bits': 2, 'symmetric': True}).round(2).tolist()
[[-1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]]
)");
  module.def("waterfill", &fill, "weights"_a, "counts"_a, "budget"_a, "min_bits"_a = 2,
             "max_bits"_a = 8,
             R"(Widths of bands of rows that minimise sum count weight / (2^bits - 1)^2.

`weights` are squared ranges, `counts` rows of each band; sum count bits <= budget.

>>> stamp_quant.waterfill([100.0, 1.0, 1.0], [1, 1, 2], 4 * 4)
[7, 3, 3]
)");
}

}  // namespace stamp::python
