// JSON text: what is accepted can be written and read again, to the same value.
#include "stamp/io/json.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stamp;
  Json json;
  if (!fuzz::accepted([&] { json = parse_json(fuzz::text_of(data, size), fuzz::kWhere); }))
    return 0;
  fuzz::require(parse_json(json.dump(), fuzz::kWhere) == json, "the value changed on its way");
  return 0;
}
