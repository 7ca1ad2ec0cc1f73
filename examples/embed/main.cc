// Continues a prompt with quantized activations. Usage: embed MODEL_DIR PROMPT
#include <cstdio>
#include <exception>

#include "stamp/pipelines/text_model.h"

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::fprintf(stderr, "usage: embed MODEL_DIR PROMPT\n");
    return 2;
  }
  stamp::TextModel text =
      stamp::open_text_model({.model = argv[1], .recipe = stamp::load_recipe("w4a8kv4-stamp")});
  stamp::GenerateOptions options = stamp::generate_defaults(text);
  options.max_new_tokens = 24;
  options.sampling.temperature = 0;  // greedy
  const auto ids =
      stamp::generate_ids(*text.model, text.tokenizer.encode(argv[2]), options, text.context);
  std::printf("%s%s\n", argv[2], text.tokenizer.decode(ids, true).c_str());
} catch (const std::exception& error) {
  std::fprintf(stderr, "embed: %s\n", error.what());
  return 1;
}
