// Chat templates: parsed, and rendered with a short conversation.
#include "stamp/text/chat_template.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace stamp;

constexpr int64_t kSteps = 20'000;  // far fewer than usual, for more inputs per second

std::tm some_day() {
  std::tm day{};
  day.tm_year = 126;
  day.tm_mon = 6;
  day.tm_mday = 26;
  return day;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<ChatMessage> messages = {{"system", "Be brief."},
                                                    {"user", " Hello\n\u00e9 "},
                                                    {"assistant", "<think>a</think>Hi"},
                                                    {"user", "2 + 2?"}};
  TokenizerConfig config;
  config.special_tokens = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
  fuzz::accepted([&] {
    const ChatTemplate chat(fuzz::text_of(data, size), fuzz::kWhere, config);
    chat.render(messages, true, some_day(), kSteps);
  });
  return 0;
}
