#include "module.h"

namespace {

NB_MODULE(_native, module) {
  namespace python = stamp::python;
  module.doc() = "The compiled part of stamp_quant.";
  python::add_options(module);
  python::add_arrays(module);
  python::add_quantizers(module);
  python::add_commands(module);
  python::add_images(module);
  python::add_models(module);
}

}  // namespace
