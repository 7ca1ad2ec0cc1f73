#include "stamp/pipelines/image_directory.h"

#include "stamp/io/config_reader.h"

namespace stamp {
namespace {

struct Known {
  std::string_view name;
  ImageFamily family;
};
constexpr Known kPipelines[] = {{"PixArtSigmaPipeline", ImageFamily::kPixArt},
                                {"PixArtAlphaPipeline", ImageFamily::kPixArt},
                                {"SanaPipeline", ImageFamily::kSana}};

}  // namespace

ImageDirectory read_model_index(const ConfigReader& index) {
  const std::string name = index.required(index.text("_class_name"), "_class_name");
  for (const Known& pipeline : kPipelines)
    if (pipeline.name == name) return {.family = pipeline.family, .class_name = name};
  index.reject("_class_name",
               "supported are PixArtSigmaPipeline, PixArtAlphaPipeline and SanaPipeline");
}

ImageDirectory open_image_directory(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored))
    throw_runtime("{}: there is no such folder", path.string());
  const auto file = path / "model_index.json";
  const Json json = read_json(file);
  ImageDirectory result = read_model_index(ConfigReader(json, file.string()));
  result.path = path;
  for (const char* part : {"tokenizer", "text_encoder", "transformer", "vae", "scheduler"})
    if (!std::filesystem::is_directory(result.part(part), ignored))
      throw_runtime("{}: the part '{}' is missing", path.string(), part);
  return result;
}

}  // namespace stamp
