// SentencePiece model files: what is accepted encodes and decodes a text. The first byte of the
// input is not part of the file: bit 0 says that a T5Tokenizer reads it, bit 1 puts the 256 pieces
// for bytes before it, which BPE models need and no short input has.
#include <fmt/format.h>

#include "stamp/text/sentencepiece_file.h"
#include "tests/fuzz/tokenizer_use.h"

namespace {

/// Of ModelProto: field 1 with 10 bytes, a piece with the text of field 1 and type 6 (field 3).
std::string byte_pieces() {
  std::string pieces;
  for (int byte = 0; byte < 256; ++byte)
    pieces += fmt::format("\x0a\x0a\x0a\x06<0x{:02X}>\x18\x06", byte);
  return pieces;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stamp;
  static const std::string kBytePieces = byte_pieces();
  if (size == 0) return 0;
  TokenizerConfig config;
  if ((data[0] & 1) != 0) config.tokenizer_class = "T5Tokenizer";
  std::string file = (data[0] & 2) != 0 ? kBytePieces : "";
  file += fuzz::text_of(data, size).substr(1);
  fuzz::accepted([&] {
    fuzz::use(
        Tokenizer::make(read_sentencepiece(file, fuzz::kWhere, config), config, fuzz::kWhere));
  });
  return 0;
}
