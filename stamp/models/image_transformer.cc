#include "stamp/models/image_transformer.h"

#include "stamp/models/pixart/pixart.h"
#include "stamp/models/sana/sana.h"

namespace stamp {
namespace {

struct Family {
  std::string_view name;
  std::unique_ptr<ImageTransformer> (*make)(std::shared_ptr<const Component>, const ModelOptions&);
};
constexpr Family kFamilies[] = {{"PixArtTransformer2DModel", make_pixart},
                                {"Transformer2DModel", make_pixart},
                                {"SanaTransformer2DModel", make_sana}};

}  // namespace

std::unique_ptr<ImageTransformer> open_image_transformer(const std::filesystem::path& directory,
                                                         const ModelOptions& options) {
  check(options.recipe);
  auto component = Component::open(directory, "diffusion_pytorch_model");
  const ConfigReader config = component->config();
  const std::string name = config.text("_class_name").value_or("");
  for (const Family& family : kFamilies)
    if (family.name == name) return family.make(std::move(component), options);
  config.reject("_class_name", "supported are PixArtTransformer2DModel and SanaTransformer2DModel");
}

}  // namespace stamp
