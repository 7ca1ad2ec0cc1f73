#include "stamp/models/image_transformer.h"

#include "stamp/models/pixart/pixart.h"
#include "stamp/models/sana/sana.h"

namespace stamp {
namespace {

struct Family {
  std::string_view name;
  ImageTransformerConfig (*read)(const ConfigReader&);
  std::unique_ptr<ImageTransformer> (*make)(std::shared_ptr<const Component>, const ModelOptions&);
};
constexpr Family kFamilies[] = {{"PixArtTransformer2DModel", read_pixart_config, make_pixart},
                                {"Transformer2DModel", read_pixart_config, make_pixart},
                                {"SanaTransformer2DModel", read_sana_config, make_sana}};

const Family& family_of(const ConfigReader& config) {
  const std::string name = config.text("_class_name").value_or("");
  for (const Family& family : kFamilies)
    if (family.name == name) return family;
  config.reject("_class_name", "supported are PixArtTransformer2DModel and SanaTransformer2DModel");
}

}  // namespace

ImageTransformerConfig read_image_transformer_config(const ConfigReader& config) {
  return family_of(config).read(config);
}

std::unique_ptr<ImageTransformer> open_image_transformer(const std::filesystem::path& directory,
                                                         const ModelOptions& options) {
  check(options.recipe);
  auto component = Component::open(directory, "diffusion_pytorch_model");
  const Family& family = family_of(component->config());
  return family.make(std::move(component), options);
}

}  // namespace stamp
