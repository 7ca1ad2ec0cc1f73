#include "stamp/models/autoencoder.h"

#include "stamp/models/dcae/dcae.h"
#include "stamp/models/vae/vae.h"

namespace stamp {
namespace {

struct Family {
  std::string_view name;
  AutoencoderConfig (*read)(const ConfigReader&);
  std::unique_ptr<Autoencoder> (*make)(std::shared_ptr<const Component>);
};
constexpr Family kFamilies[] = {{"AutoencoderKL", read_vae_config, make_vae},
                                {"AutoencoderDC", read_dcae_config, make_dcae}};

const Family& family_of(const ConfigReader& config) {
  const std::string name = config.text("_class_name").value_or("");
  for (const Family& family : kFamilies)
    if (family.name == name) return family;
  config.reject("_class_name", "supported are AutoencoderKL and AutoencoderDC");
}

}  // namespace

AutoencoderConfig read_autoencoder_config(const ConfigReader& config) {
  return family_of(config).read(config);
}

std::unique_ptr<Autoencoder> open_autoencoder(const std::filesystem::path& directory) {
  auto component = Component::open(directory, "diffusion_pytorch_model");
  const Family& family = family_of(component->config());
  return family.make(std::move(component));
}

}  // namespace stamp
