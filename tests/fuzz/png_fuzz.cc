// PNG files. The checksums of the input's chunks are corrected first: no fuzzer guesses them.
#include <zlib.h>

#include <string>

#include "stamp/io/image_file.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace stamp;

uint32_t big_endian(const char* bytes) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

std::string with_checksums(std::string file) {
  constexpr size_t kSignature = 8, kBeside = 12;  // length, type and checksum of a chunk
  for (size_t begin = kSignature; begin + kBeside <= file.size();) {
    const size_t length = big_endian(&file[begin]);
    if (length > file.size() - begin - kBeside) break;
    const size_t end = begin + 8 + length;
    const auto sum =
        crc32(0, reinterpret_cast<const Bytef*>(&file[begin + 4]), static_cast<uInt>(length + 4));
    for (size_t i = 0; i < 4; ++i) file[end + i] = static_cast<char>(sum >> (24 - 8 * i));
    begin = end + 4;
  }
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string file = with_checksums(std::string(fuzz::text_of(data, size)));
  fuzz::accepted([&] {
    PictureMetadata metadata;
    const Picture picture = decode_png(file, fuzz::kWhere, &metadata);
    fuzz::require(static_cast<int64_t>(picture.rgb.size()) == 3 * picture.width * picture.height,
                  "a picture of another size");
  });
  return 0;
}
