// Drawing pictures.
#include <span>

#include "array.h"
#include "call.h"
#include "keywords.h"
#include "stamp/core/error.h"
#include "stamp/models/image_transformer.h"
#include "stamp/pipelines/decode_image.h"
#include "stamp/pipelines/image_calibrate.h"
#include "stamp/pipelines/options/image.h"

namespace stamp::python {
namespace {

struct ImageKeywords {
  ImageOptions options;
  std::filesystem::path cache;
  int64_t memory_limit = 0;
  std::vector<std::string> calibration_prompts;
  nb::callable on_preview;
};
template <class Visitor>
void visit_options(ImageKeywords& o, Visitor&& visit) {
  visit_options(o.options, visit);
  visit("cache", o.cache, "folder that keeps calibrations for the next run");
  visit("memory_limit", o.memory_limit,
        "bytes: decode in tiles where that is needed, and refuse beforehand what would take more; "
        "0: none");
  visit("calibration_prompts", o.calibration_prompts,
        "prompts to calibrate recipes with, other ones than are drawn");
  visit("on_preview", o.on_preview,
        "called with the image's number, the step and an array like those returned (but at most 32 "
        "latents a side), as `preview` says");
}

/// A uint8 array [height, width, 3].
nb::object to_array(const Picture& picture) {
  const auto numpy = nb::module_::import_("numpy");
  const nb::bytes bytes(picture.rgb.data(), picture.rgb.size());
  return numpy.attr("frombuffer")(bytes, numpy.attr("uint8"))
      .attr("reshape")(picture.height, picture.width, 3);
}

nb::list draw(const nb::args& args, const nb::kwargs& kwargs) {
  auto keywords = read_options<ImageKeywords>("image", args, kwargs);
  ImageOptions& options = keywords.options;
  const ImagePlan plan = plan_images_within(keywords.memory_limit, options);
  std::vector<Picture> pictures;
  bool simulated = false;
  call([&] {
    ImageOptions drawn = options;
    drawn.prompts = keywords.calibration_prompts;
    const ImageCalibration calibration =
        ImageCalibrator(std::move(drawn), plan, keywords.cache).make(options.recipe);
    options.calibration = &calibration;
    PreviewSink preview;
    if (keywords.on_preview.is_valid())
      preview = [&](size_t index, size_t step, const PixelMap& pixels) {
        const Picture picture = to_picture(pixels);
        const nb::gil_scoped_acquire lock;
        keywords.on_preview(index, step, to_array(picture));
      };
    generate_images(
        options, plan,
        [&](size_t, GeneratedImage& image) {
          pictures.push_back(to_picture(image.pixels));
          simulated = image.simulated;
        },
        preview);
    return 0;
  });
  if (simulated && options.execution == Execution::kInteger)
    nb::module_::import_("warnings")
        .attr("warn")(fmt::format("recipe {} ran simulated, not in integers", options.recipe.name));
  nb::list arrays;
  for (const Picture& picture : pictures) arrays.append(to_array(picture));
  return arrays;
}

struct DiffusionTransformer {
  std::unique_ptr<ImageTransformer> model;

  DiffusionTransformer(const std::filesystem::path& directory, const nb::object& recipe,
                       const std::string& execution) {
    ModelOptions options;
    if (!recipe.is_none()) options.recipe = to_recipe(recipe);
    nb::dict keywords;
    keywords["execution"] = execution;
    KeywordVisitor("ImageTransformer", keywords)("execution", execution_values(options.execution),
                                                 "");
    model = call([&] { return open_image_transformer(directory, options); });
  }

  nb::object predict(const nb::object& latent, double timestep, const nb::object& text,
                     const std::vector<bool>& mask) const {
    const auto shape = nb::cast<std::vector<int64_t>>(latent.attr("shape"));
    if (shape.size() != 3) throw_argument("latent: expected [channels, height, width]");
    const nb::object flat = latent.attr("reshape")(shape[0], shape[1] * shape[2]);
    const ConstFloatView planes = const_view_of(flat, "latent"),
                         states = const_view_of(text, "text");
    const std::vector<uint8_t> counts(mask.begin(), mask.end());
    const PixelMap result = call([&] {
      ForwardContext context;
      const ImageCondition condition = model->condition(states, counts, context);
      const std::span values(planes.data, static_cast<size_t>(planes.rows * planes.cols));
      return model->forward(from_planes(values, shape[0], shape[1], shape[2]), timestep, condition,
                            context);
    });
    nb::object out = new_matrix(result.channels(), result.height * result.width);
    const std::vector<float> values = to_planes(result);
    std::copy(values.begin(), values.end(), view_of(out, "out").data);
    return out.attr("reshape")(result.channels(), result.height, result.width);
  }
};

}  // namespace

void add_images(nb::module_& module) {
  using namespace nb::literals;
  nb::class_<DiffusionTransformer>(
      module, "ImageTransformer",
      "The transformer of a PixArt or SANA pipeline (the folder with its config.json) under a "
      "recipe without calibration; without size conditions.")
      .def(nb::init<const std::filesystem::path&, const nb::object&, const std::string&>(),
           "directory"_a, "recipe"_a.none() = nb::none(), "execution"_a = "integer",
           nb::sig("def __init__(self, directory: str | os.PathLike, recipe: str | os.PathLike | "
                   "dict | None = None, execution: typing.Literal['integer', 'simulated'] = "
                   "'integer') -> None"))
      .def(
          "predict", &DiffusionTransformer::predict, "latent"_a, "timestep"_a, "text"_a, "mask"_a,
          nb::sig(
              "def predict(self, latent: numpy.typing.NDArray[numpy.float32], timestep: float, "
              "text: numpy.typing.NDArray[numpy.float32], mask: collections.abc.Sequence[bool]) "
              "-> numpy.typing.NDArray[numpy.float32]"),
          "The prediction [channels, height, width] for one latent, the scheduler's time and the "
          "text encoder's states [tokens, channels], of which those with mask False do not count.");
  const Described described =
      describe<ImageKeywords>("image", "Pictures for prompts, as uint8 arrays [height, width, 3].",
                              "list[numpy.typing.NDArray[numpy.uint8]]");
  module.def("image", &draw, nb::sig(described.signature), described.documentation);
}

}  // namespace stamp::python
