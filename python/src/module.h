#pragma once
// The parts of the module; each registers its own functions.
#include <nanobind/nanobind.h>

namespace stamp::python {

namespace nb = nanobind;

void add_arrays(nb::module_& module);
void add_quantizers(nb::module_& module);
void add_commands(nb::module_& module);
void add_images(nb::module_& module);
void add_models(nb::module_& module);
void add_options(nb::module_& module);

}  // namespace stamp::python
