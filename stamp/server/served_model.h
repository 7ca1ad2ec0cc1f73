#pragma once
// A language model as requests see it.
#include <optional>

#include "stamp/pipelines/serving/serve_options.h"
#include "stamp/text/chat_template.h"

namespace stamp {

struct ServedModel {
  std::string name;
  TextModel text;
  GenerateOptions defaults;  // of requests that do not say
  std::optional<ChatTemplate> chat_template;
  int64_t created = 0;                      // seconds since 1970
  int64_t max_tokens = 0, max_choices = 0;  // see ServeOptions
};

/// Throws as open_text_model() and ChatTemplate; a model without a template of its own is none.
ServedModel open_served_model(const ServeOptions& options);

}  // namespace stamp
