#include "stamp/io/model_files.h"

#include "stamp/core/error.h"
#include "stamp/io/gguf_model.h"
#include "stamp/io/packed_linears.h"
#include "stamp/io/safetensors.h"

namespace stamp {
namespace {

struct Translation {
  std::string_view name;
  Json (*make)(const Gguf&);
};
constexpr Translation kTranslations[] = {{"config.json", gguf_config},
                                         {"tokenizer.json", gguf_tokenizer},
                                         {"tokenizer_config.json", gguf_tokenizer_config}};

const Translation* translation(const std::string& name) {
  for (const Translation& row : kTranslations)
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace

bool has_model_json(const std::filesystem::path& model, const std::string& name) {
  if (is_gguf(model)) return translation(name) != nullptr;
  std::error_code ignored;
  return std::filesystem::exists(model / name, ignored);
}

Json read_model_json(const std::filesystem::path& model, const std::string& name) {
  if (!is_gguf(model)) return read_json(model / name);
  const Translation* row = translation(name);
  if (row == nullptr) throw_runtime("{}: a GGUF file has no {}", model.string(), name);
  return row->make(Gguf::open(model));
}

TensorStore open_model_weights(const std::filesystem::path& model) {
  if (is_gguf(model)) return gguf_weights(Gguf::open(model));
  TensorStore store = Safetensors::open_model(model);
  const Json config = read_model_json(model, "config.json");
  const auto quantization = config.find("quantization_config");
  if (quantization == config.end() || !quantization->is_object()) return store;
  const auto method = quantization->find("quant_method");
  if (method != quantization->end() && method->is_string() && has_packed_linears(model, *method))
    unpack_linears(*quantization, (model / "config.json").string(), store);
  return store;
}

bool has_packed_linears(const std::filesystem::path& model, const std::string& quant_method) {
  std::error_code ignored;
  return is_packed_method(quant_method) &&
         (quant_method != "compressed-tensors" ||
          !std::filesystem::exists(model / "recipe.json", ignored));
}

std::filesystem::path model_folder(const std::filesystem::path& model) {
  return is_gguf(model) ? model.parent_path() : model;
}

}  // namespace stamp
