// Bodies of /v1/completions and, when the first byte of the input is odd, of /v1/chat/completions.
#include "stamp/server/completion_request.h"
#include "stamp/server/request_fields.h"
#include "tests/fuzz/request_use.h"
#include "tests/fuzz/tokenizer_use.h"

namespace {

using namespace stamp;

/// Has sizes; computes nothing.
class NoModel : public Model {
 public:
  NoModel() {
    config_.vocab_size = 8;
    config_.max_positions = 64;
  }
  const LlmConfig& config() const override { return config_; }
  const Recipe& recipe() const override { return recipe_; }
  Matrix forward(std::span<const int32_t>, KvCache&, ForwardContext&) const override { return {}; }
  void logits(ConstFloatView, FloatView, ForwardContext&) const override {}
  BitCount activation_bits(int64_t) const override { return {}; }
  BitCount kv_bits(int64_t) const override { return {}; }
  bool simulated() const override { return false; }
  const KvQuantizer& kv_quantizer(int64_t) const override { return kv_; }
  int64_t weight_bytes() const override { return 0; }
  std::vector<std::string> notes() const override { return {}; }
  Matrix forward_all(std::span<const SequenceChunk>, ForwardContext&) const override { return {}; }
  void logits_of_each(ConstFloatView, FloatView, ForwardContext&) const override {}

 private:
  LlmConfig config_;
  Recipe recipe_;
  KvQuantizer kv_{.k = TokenQuantizer({}), .v = TokenQuantizer({})};
};

ServedModel make_served() {
  constexpr const char* kTemplate =
      "{% for m in messages %}{{ m.role[0] ~ m.content }}{% endfor %}";
  return {.name = "m",
          .text = {.tokenizer = Tokenizer::make(fuzz::small_spec(), {}, fuzz::kWhere),
                   .model = std::make_unique<NoModel>()},
          .chat_template = ChatTemplate(kTemplate, "template", {}),
          .max_tokens = 100,
          .max_choices = 4};
}

void check_request(const CompletionRequest& request, const ServedModel& model) {
  const LlmConfig& config = model.text.model->config();
  fuzz::require(!request.prompts.empty() && request.choices >= 1 &&
                    request.choices <= model.max_choices && request.generate.max_new_tokens >= 1 &&
                    request.generate.max_new_tokens <= model.max_tokens &&
                    request.top_logprobs >= -1 && request.top_logprobs <= 20,
                "a request out of range");
  for (const auto& ids : request.prompts) {
    fuzz::require(!ids.empty() && std::ssize(ids) < config.max_positions, "a prompt too long");
    for (const int32_t id : ids)
      fuzz::require(id >= 0 && id < config.vocab_size, "an id out of range");
  }
  for (const std::string& stop : request.stop) fuzz::require(!stop.empty(), "an empty stop");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const ServedModel model = make_served();
  if (size == 0) return 0;
  fuzz::answered([&] {
    const Json body = parse_request(fuzz::text_of(data, size).substr(1));
    check_request(read_completion(body, data[0] % 2 == 1, model, std::tm{}), model);
  });
  return 0;
}
