#pragma once
// The options of a server; see core/options.h.
#include "stamp/pipelines/options/generate.h"
#include "stamp/pipelines/serving/serve_options.h"

namespace stamp {

inline NamedValues<PrefixReuse> prefix_reuse_values(PrefixReuse& reuse) {
  return named_values(
      reuse,
      {{"off", PrefixReuse::kOff}, {"exact", PrefixReuse::kExact}, {"pages", PrefixReuse::kPages}});
}

template <class Visitor>
void visit_options(ServeOptions& o, Visitor&& visit) {
  visit_options(o.model, visit);
  visit("model_name", o.model_name, "name that requests may give (default: the directory's)");
  visit("chat_template", o.chat_template, "file to take the template from, instead of the model's");
  visit("images", o.images, "diffusers directory of a pipeline that draws");
  visit("image_recipe", o.image_recipe, "preset name or JSON file for that pipeline");
  visit("host", o.host, "IP address to listen at; 0.0.0.0: all");
  visit("port", o.port, "0: one that is free");
  visit("api_key_file", o.api_key_file,
        "file with one key per line (default: those of STAMP_API_KEYS, separated by commas)");
  visit("max_sequences", o.scheduler.max_sequences, "sequences computed together");
  visit("prefill_chunk", o.scheduler.prefill_chunk,
        "tokens of a prompt computed at once, a multiple of 64");
  visit("prefix_reuse", prefix_reuse_values(o.scheduler.prefix_reuse),
        "what prompts take over from earlier ones: nothing, whole chunks (the same bits), or every "
        "page of 64 tokens");
  visit("prefix_bytes", o.scheduler.prefix_bytes, "memory of what may be taken over");
  visit("max_queue", o.max_queue, "requests in line; more are refused with status 429");
  visit("max_tokens", o.max_tokens, "tokens that a request may ask for");
  visit("max_choices", o.max_choices, "answers that a request may ask for");
  visit("max_body", o.max_body, "bytes of a request");
  visit("max_connections", o.max_connections, "open connections");
  visit("read_timeout", o.read_timeout, "seconds for a request to arrive, or an answer to leave");
  visit("request_timeout", o.request_timeout, "seconds until an answer is complete");
  visit("drain_timeout", o.drain_timeout, "seconds that running answers get after SIGTERM");
}
template <>
inline ServeOptions default_options() {
  return {.model = default_options<TextModelOptions>()};
}
inline void complete_options(ServeOptions& o) { complete_options(o.model); }

}  // namespace stamp
