// Recipes by name, threads, progress, the build.
#include "call.h"
#include "keywords.h"
#include "stamp/core/cpu_features.h"
#include "stamp/core/parallel.h"
#include "stamp/core/version.h"

namespace stamp::python {
namespace {

/// Sends progress to `report`, a Python function; None: drawn on standard error as the command line
/// does.
void set_progress(const nb::object& report) {
  if (report.is_none()) return set_progress_listener({});
  set_progress_listener([kept = nb::cast<nb::callable>(report)](const ProgressState& state) {
    const nb::gil_scoped_acquire lock;
    try {
      kept(reinterpret_cast<uintptr_t>(state.work), state.label, state.unit, state.done,
           state.total, state.last);
    } catch (nb::python_error& error) {
      error.discard_as_unraisable("progress");
    }
  });
}

}  // namespace

void add_options(nb::module_& module) {
  module.attr("__version__") = version();
  module.def("build_commit", &build_commit,
             "Commit of the sources that this module was built from.");
  module.def("machine", &machine_description, "Processor, threads and instruction set in force.");
  module.def("set_threads", &set_threads, nb::arg("count"),
             "Threads of all functions; 0: one per available core.");
  module.def("threads", &threads, "Threads in use.");
  module.def("presets", &preset_names,
             "Names of the built-in recipes.\n\n"
             ">>> 'w4a4kv4-stamp' in stamp_quant.presets()\nTrue\n");
  module.def(
      "recipe", [](nb::handle name) { return to_python(to_json(to_recipe(name))); },
      nb::sig("def recipe(name: str | os.PathLike | dict) -> dict"),
      "A preset, a recipe file or a dictionary, checked and with every field explicit.\n\n"
      ">>> stamp_quant.recipe('w4a4kv4-stamp')['activations']['sequence']['transform']\n'haar'\n"
      ">>> stamp_quant.recipe({'schema': 1, 'name': 'a4', 'activations': {'bits': 1}})\n"
      "Traceback (most recent call last):\nValueError: recipe: activations.bits: expected 2 to 8, "
      "got 1\n");
  module.def("_set_progress", &set_progress, nb::arg("report").none());
  nb::module_::import_("atexit").attr("register")(
      nb::cpp_function([] { set_progress_listener({}); }));
}

}  // namespace stamp::python
