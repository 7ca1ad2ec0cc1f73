// config.json and generation_config.json of language models: sizes that are accepted fit together.
#include "stamp/io/config_reader.h"
#include "stamp/io/hf_config.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace stamp;

void check_sizes(const LlmConfig& config) {
  constexpr int64_t kMost = int64_t{1} << 20;
  for (const int64_t size : {config.vocab_size, config.hidden_size, config.intermediate_size,
                             config.layers, config.heads, config.kv_heads, config.head_dim})
    fuzz::require(size >= 1 && size <= kMost, "a size out of range");
  fuzz::require(config.heads % config.kv_heads == 0 && config.head_dim % 2 == 0,
                "sizes that do not fit together");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Json json;
  if (!fuzz::accepted([&] { json = parse_json(fuzz::text_of(data, size), fuzz::kWhere); }))
    return 0;
  LlmConfig config;
  if (fuzz::accepted([&] { config = read_llm_config(ConfigReader(json, fuzz::kWhere)); }))
    check_sizes(config);
  fuzz::accepted([&] { read_generation_config(ConfigReader(json, fuzz::kWhere), config); });
  return 0;
}
