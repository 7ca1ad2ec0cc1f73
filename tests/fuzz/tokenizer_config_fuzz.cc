// tokenizer_config.json, alone and beside a small tokenizer whose tokens it extends.
#include "stamp/io/config_reader.h"
#include "stamp/text/tokenizer_config.h"
#include "tests/fuzz/tokenizer_use.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stamp;
  fuzz::accepted([&] {
    const Json json = parse_json(fuzz::text_of(data, size), fuzz::kWhere);
    const TokenizerConfig config = read_tokenizer_config(ConfigReader(json, fuzz::kWhere));
    fuzz::use(Tokenizer::make(fuzz::small_spec(), config, fuzz::kWhere));
  });
  return 0;
}
