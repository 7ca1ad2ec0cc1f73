// scheduler_config.json of image models, and the schedule that follows from it.
#include "stamp/diffusion/scheduler_config.h"
#include "stamp/io/config_reader.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stamp;
  Json json;
  if (!fuzz::accepted([&] { json = parse_json(fuzz::text_of(data, size), fuzz::kWhere); }))
    return 0;
  fuzz::accepted([&] { read_scheduler_config(ConfigReader(json, fuzz::kWhere)); });
  return 0;
}
