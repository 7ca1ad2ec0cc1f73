// Language models: logits, text, conversations.
#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>

#include <ctime>

#include "array.h"
#include "call.h"
#include "keywords.h"
#include "stamp/core/error.h"
#include "stamp/pipelines/chat.h"
#include "stamp/pipelines/info.h"
#include "stamp/pipelines/options/generate.h"
#include "stamp/pipelines/token_json.h"
#include "stamp/text/stream_decoder.h"

namespace stamp::python {
namespace {

constexpr int64_t kLogitRows = 64;  // computed at a time: between two looks at Ctrl-C

struct LanguageModel {
  TextModelOptions options;
  TextModel text;

  ForwardContext context() const {
    ForwardContext context;
    context.compute = options.compute;
    return context;
  }
};

nb::object load(const nb::args& args, const nb::kwargs& kwargs) {
  TextModelOptions options = read_options<TextModelOptions>("load", args, kwargs);
  TextModel text = call([&] { return open_text_model(options); });
  return nb::cast(new LanguageModel{std::move(options), std::move(text)},
                  nb::rv_policy::take_ownership);
}

/// Calls body(first row, hidden states) for some rows at a time of what `ids` give.
template <class Body>
void for_each_hidden(const LanguageModel& self, const std::vector<int32_t>& ids, int64_t rows,
                     ForwardContext& context, Body&& body) {
  KvCache cache = self.text.model->make_cache(std::ssize(ids));
  const Matrix hidden = self.text.model->forward(ids, cache, context);
  for (int64_t first = 0; first < rows && !interrupted(); first += kLogitRows)
    body(first, hidden.view().rows_from(first, std::min(kLogitRows, rows - first)));
}

nb::object logits(const LanguageModel& self, const nb::object& ids) {
  const std::vector<int32_t> tokens = ids_of(ids);
  if (tokens.empty()) throw_argument("logits: expected at least one id");
  const Model& model = *self.text.model;
  const auto count = static_cast<int64_t>(tokens.size());
  nb::object result = new_matrix(count, model.config().vocab_size);
  const FloatView out = view_of(result, "out");
  call([&] {
    ForwardContext context = self.context();
    for_each_hidden(self, tokens, count, context, [&](int64_t first, ConstFloatView hidden) {
      model.logits(hidden, out.rows_from(first, hidden.rows), context);
    });
    return 0;
  });
  return result;
}

nb::object logprobs(const LanguageModel& self, const nb::object& ids) {
  const std::vector<int32_t> tokens = ids_of(ids);
  if (tokens.size() < 2) throw_argument("logprobs: expected at least two ids");
  const Model& model = *self.text.model;
  nb::object result = new_matrix(1, std::ssize(tokens) - 1);
  const FloatView out = view_of(result, "out");
  call([&] {
    ForwardContext context = self.context();
    Matrix logits;
    for_each_hidden(self, tokens, out.cols, context, [&](int64_t first, ConstFloatView hidden) {
      logits.reshape(hidden.rows, model.config().vocab_size);
      model.logits(hidden, logits.view(), context);
      for (int64_t i = 0; i < hidden.rows; ++i)
        out(0, first + i) = LogProbabilities(logits.view().row_span(i))
                                .of(tokens[static_cast<size_t>(first + i + 1)]);
    });
    return 0;
  });
  return result.attr("reshape")(-1);
}

/// Tokens one after the other: an iterator of text, or of ids where the prompt was made of ids, or
/// of dictionaries where probabilities are asked for.
class TextStream {
 public:
  TextStream(nb::object model, TokenSession session, GenerateOptions options, bool as_text)
      : owner_(std::move(model)),
        model_(nb::cast<const LanguageModel&>(owner_)),
        options_(std::move(options)),
        left_(options_.max_new_tokens),
        as_text_(as_text),
        session_(std::move(session)),
        rng_(options_.seed),
        context_(model_.context()),
        decoder_(model_.text.tokenizer) {
    if (left_ < 0) throw_argument("generate: expected max_new_tokens >= 0, got {}", left_);
    options_.max_new_tokens = 1;
  }

  nb::object next() {
    while (left_ > 0) {
      GeneratedToken token;
      const auto ids = call([&] {
        return session_.generate(options_, rng_, context_, [&](const GeneratedToken& drawn) {
          token = drawn;
          return true;
        });
      });
      if (ids.empty()) break;
      --left_;
      if (token.stops) left_ = 0;
      if (options_.top_logprobs >= 0) return to_python(to_json(token, model_.text.tokenizer));
      if (!as_text_) return nb::int_(token.id);
      if (const std::string text = decoder_.push(token.id); !text.empty())
        return nb::str(text.c_str(), text.size());
    }
    throw nb::stop_iteration();
  }

 private:
  nb::object owner_;
  const LanguageModel& model_;
  GenerateOptions options_;
  int64_t left_;
  bool as_text_;
  TokenSession session_;
  Rng rng_;
  ForwardContext context_;
  StreamDecoder decoder_;
};

struct GenerateKeywords {
  GenerateOptions options;
  PromptCacheOptions cache;
  nb::object prompt;
  bool stream = false;
};
template <class Visitor>
void visit_options(GenerateKeywords& o, Visitor&& visit) {
  visit.argument("prompt", o.prompt, "text, or token ids; \"\" or []: that of load_cache");
  visit("stream", o.stream, "return an iterator of pieces of text (or of ids)");
  visit(
      "logprobs", o.options.top_logprobs,
      "log-probabilities of the tokens, and of so many likeliest ones, in a dictionary; -1: none");
  visit_options(o.options, visit);
  visit_options(o.cache, visit);
}

nb::object generate(const nb::object& self, const nb::args& args, const nb::kwargs& kwargs) {
  const auto& model = nb::cast<const LanguageModel&>(self);
  auto keywords = read_options<GenerateKeywords>("generate", args, kwargs,
                                                 {.options = generate_defaults(model.text)});
  if (!keywords.prompt.is_valid()) throw nb::type_error("generate: expected a prompt");
  std::string text;
  const bool as_text = nb::try_cast<std::string>(keywords.prompt, text);
  std::vector<int32_t> prompt;
  if (!as_text)
    prompt = ids_of(keywords.prompt);
  else if (!text.empty() || keywords.cache.load_cache.empty())
    prompt = model.text.tokenizer.encode(text);
  ForwardContext context = model.context();
  const GenerateOptions& options = keywords.options;
  OpenedPrompt opened = call([&] {
    return open_prompt(model.text, prompt, options.max_new_tokens, keywords.cache, context);
  });
  if (keywords.stream)
    return nb::cast(new TextStream(self, std::move(opened.session), options, as_text),
                    nb::rv_policy::take_ownership);
  Json tokens = Json::array();
  const std::vector<int32_t> ids = call([&] {
    Rng rng(options.seed);
    return opened.session.generate(options, rng, context, [&](const GeneratedToken& token) {
      if (options.top_logprobs >= 0) tokens.push_back(to_json(token, model.text.tokenizer));
      return true;
    });
  });
  if (options.top_logprobs >= 0)
    return to_python(
        {{"ids", ids}, {"text", model.text.tokenizer.decode(ids, true)}, {"logprobs", tokens}});
  return as_text ? nb::cast(model.text.tokenizer.decode(ids, true)) : nb::cast(ids);
}

std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm time{};
  localtime_r(&now, &time);
  return time;
}

struct ChatKeywords {
  ChatOptions options;
  std::filesystem::path chat_template;
};
template <class Visitor>
void visit_options(ChatKeywords& o, Visitor&& visit) {
  visit("system", o.options.system, "system message");
  visit("chat_template", o.chat_template, "file to take the template from, instead of the model's");
  visit("context", o.options.capacity, "tokens of the whole conversation");
  visit_options(o.options.generate, visit);
}

ChatTemplate open_template(const ChatKeywords& keywords, const std::filesystem::path& model) {
  const std::filesystem::path& file = keywords.chat_template;
  if (file.empty()) return ChatTemplate::load(model);
  return {read_text(file), file.string(), read_tokenizer_config(model)};
}

class Conversation {
 public:
  Conversation(nb::object model, const ChatKeywords& keywords)
      : owner_(std::move(model)),
        model_(nb::cast<const LanguageModel&>(owner_)),
        template_(open_template(keywords, model_.options.model)),
        context_(model_.context()),
        chat_(*model_.text.model, model_.text.tokenizer, template_, keywords.options, context_) {}

  nb::dict ask(const std::string& message,
               const std::optional<std::function<void(std::string)>>& on_text) {
    const ChatAnswer answer = call([&] {
      return chat_.ask(message, [&](std::string_view text) {
        if (!on_text) return;
        const nb::gil_scoped_acquire lock;
        (*on_text)(std::string(text));
      });
    });
    nb::dict result;
    result["text"] = answer.text;
    result["kept"] = answer.kept;
    result["prefilled"] = answer.prefilled;
    result["generated"] = answer.generated;
    result["stopped"] = answer.stopped;
    return result;
  }
  void reset() { chat_.reset(); }

 private:
  nb::object owner_;
  const LanguageModel& model_;
  ChatTemplate template_;
  ForwardContext context_;
  Chat chat_;
};

nb::object chat(const nb::object& self, const nb::args& args, const nb::kwargs& kwargs) {
  const auto& model = nb::cast<const LanguageModel&>(self);
  ChatKeywords start;
  start.options.generate = generate_defaults(model.text);
  start.options.generate.max_new_tokens = 1024;
  start.options.capacity =
      std::min(start.options.capacity, model.text.model->config().max_positions);
  start.options.now = local_time();
  const auto keywords = read_options<ChatKeywords>("chat", args, kwargs, std::move(start));
  return nb::cast(new Conversation(self, keywords), nb::rv_policy::take_ownership);
}

nb::dict config_of(const LanguageModel& self) {
  return nb::cast<nb::dict>(to_python(to_json(self.text.source->config())));
}

nb::dict statistics_of(const LanguageModel& self) {
  nb::dict result;
  for (const auto& [site, statistics] : self.text.calibration) {
    nb::dict own;
    own["range2"] = statistics.range2;
    own["mean"] = statistics.mean;
    own["center"] = statistics.center;
    own["skip_tokens"] = statistics.skip_tokens;
    result[site.c_str()] = own;
  }
  return result;
}

/// Model.NAME: the module's function for the model's directory, with its recipe unless another one
/// is given.
void add_measurement(nb::class_<LanguageModel>& model, const char* name, bool has_recipe) {
  model.def(
      name,
      [name, has_recipe](const LanguageModel& self, const nb::kwargs& kwargs) {
        nb::dict keywords;
        if (has_recipe && !self.text.recipe.is_plain())
          keywords["recipe"] = to_python(to_json(self.text.recipe));
        for (const auto& [key, value] : kwargs) keywords[key] = value;
        return nb::module_::import_("stamp_quant._native")
            .attr(name)(self.options.model, **keywords);
      },
      nb::sig(keep(std::string("def ") + name + "(self, **options) -> stamp_quant._result.Result")),
      keep(std::string("stamp_quant.") + name + "() of this model" +
           (has_recipe ? " and its recipe." : ".")));
}

constexpr const char* kLoadExamples = R"(
>>> m = stamp_quant.load(model, recipe='w4a4kv4-stamp')
>>> m.recipe['name'], m.config['layers']
('w4a4kv4-stamp', 8)
)";
constexpr const char* kGenerateExamples = R"(
What is not given follows the model's generation_config.json. With `logprobs` the result is a dictionary of ids, text and
logprobs, a stream one of dictionaries: of every token id, token, logprob, bytes and top_logprobs. They are those of the model
itself, before temperature and penalties.

>>> m = stamp_quant.load(model)
>>> text = m.generate('The kernel', max_new_tokens=8, temperature=0.0)
>>> text == ''.join(m.generate('The kernel', stream=True, max_new_tokens=8, temperature=0.0))
True
>>> answer = m.generate('The kernel', logprobs=3, max_new_tokens=8, temperature=0.0)
>>> answer['text'] == text, len(answer['logprobs'])
(True, 8)
>>> first = answer['logprobs'][0]
>>> [entry['id'] for entry in first['top_logprobs']][0] == first['id'] == answer['ids'][0]
True
)";
constexpr const char* kLogprobsExamples = R"(
Log-probabilities [tokens - 1] of every id but the first, each after those before it. Under a recipe that transforms inputs along
the tokens they are not exactly causal (docs/maths.md).

>>> m = stamp_quant.load(model)
>>> ids = m.encode('The kernel')
>>> answer = m.generate(ids, logprobs=0, max_new_tokens=1, temperature=0.0)
>>> bool(np.isclose(m.logprobs(ids + answer['ids'])[-1], answer['logprobs'][0]['logprob'], atol=1e-4))
True
)";

}  // namespace

void add_models(nb::module_& module) {
  using namespace nb::literals;
  nb::class_<TextStream>(module, "TextStream", "What Model.generate(stream=True) returns.")
      .def(
          "__iter__", [](nb::handle self) { return nb::borrow(self); },
          nb::sig("def __iter__(self) -> TextStream"))
      .def("__next__", &TextStream::next, nb::sig("def __next__(self) -> str | int | dict"));
  nb::class_<Conversation>(module, "Chat", "A conversation whose past stays in the K/V cache.")
      .def("ask", &Conversation::ask, "message"_a, "on_text"_a.none() = nb::none(),
           "The answer (key 'text') and what it cost; `on_text` is called with every piece.")
      .def("reset", &Conversation::reset, "Forgets everything but the system message.");

  nb::class_<LanguageModel> model(module, "Model", "A language model that load() returned.");
  const Described generation = describe<GenerateKeywords>(
      "generate", "Continues a prompt: text for text, ids for ids.",
      "str | list[int] | dict | TextStream", kGenerateExamples, Self::kFirst);
  const Described conversation = describe<ChatKeywords>(
      "chat", "A conversation with the model's chat template.", "Chat", "", Self::kFirst);
  model
      .def("logits", &logits, "ids"_a,
           nb::sig("def logits(self, ids: collections.abc.Sequence[int]) -> "
                   "numpy.typing.NDArray[numpy.float32]"),
           R"(Logits [tokens, vocabulary] after every one of the ids.

>>> m = stamp_quant.load(model)
>>> m.logits(m.encode('Hello')).shape[1] == m.config['vocab_size']
True
)")
      .def("logprobs", &logprobs, "ids"_a,
           nb::sig("def logprobs(self, ids: collections.abc.Sequence[int]) -> "
                   "numpy.typing.NDArray[numpy.float32]"),
           kLogprobsExamples + 1)
      .def("generate", &generate, nb::sig(generation.signature), generation.documentation)
      .def("chat", &chat, nb::sig(conversation.signature), conversation.documentation)
      .def(
          "encode",
          [](const LanguageModel& self, const std::string& text, bool add_special) {
            return self.text.tokenizer.encode(text, add_special);
          },
          "text"_a, "add_special"_a = true, "Token ids of text.")
      .def(
          "decode",
          [](const LanguageModel& self, const nb::object& ids, bool skip_special) {
            return self.text.tokenizer.decode(ids_of(ids), skip_special);
          },
          "ids"_a, "skip_special"_a = false,
          nb::sig("def decode(self, ids: collections.abc.Sequence[int], skip_special: bool = False)"
                  " -> str"),
          "Text of token ids.")
      .def_prop_ro("config", &config_of, "Sizes of the model.")
      .def_prop_ro(
          "recipe", [](const LanguageModel& self) { return to_python(to_json(self.text.recipe)); },
          nb::sig("def recipe(self) -> dict"), "The recipe in force.")
      .def_prop_ro(
          "statistics", &statistics_of,
          "What the recipe was calibrated with, by tensor: squared row ranges, channel means, "
          "massive first tokens.")
      .def_prop_ro(
          "simulated", [](const LanguageModel& self) { return self.text.model->simulated(); },
          "True when a part of the recipe runs on rounded fp32 values, not on integers.")
      .def_prop_ro(
          "notes", [](const LanguageModel& self) { return self.text.model->notes(); },
          "Rotations in use, what is excluded.");
  for (const char* name : {"evaluate", "sensitivity", "tune", "quantize"})
    add_measurement(model, name, true);
  add_measurement(model, "compare", false);
  const Described described = describe<TextModelOptions>(
      "load", "A model directory, ready to run with a recipe.", "Model", kLoadExamples);
  module.def("load", &load, nb::sig(described.signature), described.documentation);
}

}  // namespace stamp::python
