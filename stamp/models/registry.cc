// The list of architectures. A new family is a folder and a line here.
#include <array>

#include "stamp/core/error.h"
#include "stamp/models/llama/llama.h"
#include "stamp/models/model.h"
#include "stamp/models/qwen2/qwen2.h"

namespace stamp {
namespace {

struct Family {
  std::string_view architecture;
  std::unique_ptr<Model> (*make)(std::shared_ptr<const ModelSource>, const ModelOptions&);
};
constexpr std::array kFamilies = {
    Family{"LlamaForCausalLM", make_llama},
    Family{"Qwen2ForCausalLM", make_qwen2},
};

}  // namespace

std::vector<std::string> supported_architectures() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.emplace_back(family.architecture);
  return names;
}

std::unique_ptr<Model> make_model(std::shared_ptr<const ModelSource> source,
                                  const ModelOptions& options) {
  check(options.recipe);
  const std::string& architecture = source->config().architecture;
  for (const Family& family : kFamilies)
    if (family.architecture == architecture) return family.make(std::move(source), options);
  throw_runtime("{}: unknown architecture '{}', expected one of {}", source->directory().string(),
                architecture, fmt::join(supported_architectures(), ", "));
}

}  // namespace stamp
