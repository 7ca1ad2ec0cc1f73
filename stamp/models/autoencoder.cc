#include "stamp/models/autoencoder.h"

#include "stamp/models/dcae/dcae.h"
#include "stamp/models/vae/vae.h"

namespace stamp {
namespace {

struct Family {
  std::string_view name;
  std::unique_ptr<Autoencoder> (*make)(std::shared_ptr<const Component>);
};
constexpr Family kFamilies[] = {{"AutoencoderKL", make_vae}, {"AutoencoderDC", make_dcae}};

}  // namespace

std::unique_ptr<Autoencoder> open_autoencoder(const std::filesystem::path& directory) {
  auto component = Component::open(directory, "diffusion_pytorch_model");
  const ConfigReader config = component->config();
  const std::string name = config.text("_class_name").value_or("");
  for (const Family& family : kFamilies)
    if (family.name == name) return family.make(std::move(component));
  config.reject("_class_name", "supported are AutoencoderKL and AutoencoderDC");
}

}  // namespace stamp
