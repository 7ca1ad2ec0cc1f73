#include "stamp/models/text_encoder.h"

#include <algorithm>

#include "stamp/models/gemma2/gemma2.h"
#include "stamp/models/t5/t5.h"

namespace stamp {
namespace {

struct Family {
  std::string_view architecture;
  std::unique_ptr<TextEncoder> (*make)(std::shared_ptr<const Component>);
};
constexpr Family kFamilies[] = {{"T5EncoderModel", make_t5_encoder},
                                {"T5ForConditionalGeneration", make_t5_encoder},
                                {"Gemma2Model", make_gemma2_encoder},
                                {"Gemma2ForCausalLM", make_gemma2_encoder}};

}  // namespace

std::unique_ptr<TextEncoder> open_text_encoder(const std::filesystem::path& directory) {
  auto component = Component::open(directory, "model");
  const ConfigReader config = component->config();
  const Json* names = config.find("architectures");
  const bool listed = names && names->is_array() && !names->empty() && (*names)[0].is_string();
  const std::string name = listed ? (*names)[0].get<std::string>() : "";
  for (const Family& family : kFamilies)
    if (family.architecture == name) return family.make(std::move(component));
  config.reject("architectures", "supported are T5EncoderModel and Gemma2Model");
}

std::vector<float> key_bias_of(std::span<const uint8_t> mask, size_t tokens, float hidden) {
  if (mask.size() != tokens)
    throw_argument("text encoder: a mask of {} for {} tokens", mask.size(), tokens);
  if (std::none_of(mask.begin(), mask.end(), [](uint8_t value) { return value != 0; }))
    throw_argument("text encoder: the mask hides all {} tokens", tokens);
  std::vector<float> bias(tokens);
  for (size_t i = 0; i < tokens; ++i) bias[i] = mask[i] ? 0.0f : hidden;
  return bias;
}

}  // namespace stamp
