#include "stamp/pipelines/text_model.h"

#include <algorithm>

#include "stamp/io/sha256.h"
#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/evaluate.h"
#include "stamp/pipelines/quantize_layers.h"

namespace stamp {

TextModel open_text_model(const TextModelOptions& options) {
  TextModel text{.source = ModelSource::open(options.model),
                 .tokenizer = Tokenizer::load(options.model),
                 .recipe = options.recipe,
                 .execution = options.execution};
  const auto calibration_text = [&] {
    CalibrateOptions calibrate{
        .ids = calibration_ids(text.tokenizer, options.model, options.calibration, {}),
        .bos_id = text.tokenizer.bos_id()};
    text.calibration_text = sha256({reinterpret_cast<const char*>(calibrate.ids.data()),
                                    calibrate.ids.size() * sizeof(calibrate.ids[0])});
    return calibrate;
  };
  text.calibration = calibration_for(text.source, text.recipe, calibration_text);
  const WeightCodes codes =
      weight_codes_for(text.source, text.recipe, text.calibration, calibration_text);
  text.model = make_model(text.source, {.recipe = text.recipe,
                                        .calibration = &text.calibration,
                                        .codes = &codes,
                                        .execution = options.execution,
                                        .split = options.split,
                                        .link_bits = options.link_bits});
  text.context.compute = options.compute;
  return text;
}

GenerateOptions generate_defaults(const TextModel& text) {
  const GenerationConfig config =
      read_generation_config(text.source->directory(), text.source->config());
  GenerateOptions options{.sampling = {.temperature = config.do_sample ? config.temperature : 0,
                                       .top_k = config.top_k,
                                       .top_p = config.top_p,
                                       .repetition_penalty = config.repetition_penalty},
                          .stop_ids = config.eos_token_ids};
  const int64_t eos = text.tokenizer.eos_id();
  std::vector<int64_t>& ids = options.stop_ids;
  if (eos >= 0 && std::find(ids.begin(), ids.end(), eos) == ids.end()) ids.push_back(eos);
  return options;
}

}  // namespace stamp
