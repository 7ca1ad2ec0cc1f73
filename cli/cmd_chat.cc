#include <fmt/format.h>
#include <unistd.h>

#include <ctime>
#include <iostream>

#include "stamp/core/progress.h"
#include "stamp/pipelines/chat.h"
#include "text_model.h"

namespace stamp::cli {
namespace {

struct Flags {
  TextModelFlags text;
  std::filesystem::path template_file;
  std::vector<std::string> messages;
  std::string system;
  int64_t context = 4096;
  bool json = false;
};

std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm time{};
  localtime_r(&now, &time);
  return time;
}

ChatTemplate open_template(const Flags& flags) {
  if (flags.template_file.empty()) return ChatTemplate::load(flags.text.model.model);
  return {read_text(flags.template_file), flags.template_file.string(),
          read_tokenizer_config(flags.text.model.model)};
}

Json to_json(const std::string& message, const ChatAnswer& answer) {
  return {{"message", message},
          {"answer", answer.text},
          {"kept", answer.kept},
          {"prefilled", answer.prefilled},
          {"generated", answer.generated},
          {"stopped", answer.stopped}};
}

/// Answers a message on standard output.
void answer_message(Chat& chat, const std::string& message, bool json, Json& turns) {
  const ChatAnswer answer = chat.ask(message, [&](std::string_view text) {
    if (json) return;
    fmt::print("{}", text);
    std::fflush(stdout);
  });
  if (json)
    turns.push_back(to_json(message, answer));
  else
    fmt::print("\n");
}

/// Answers standard input, one message per line. On a terminal with a prompt, and neither errors
/// nor Ctrl-C end the conversation.
void converse(Chat& chat, bool json, Json& turns) {
  const bool is_terminal = isatty(STDIN_FILENO);
  if (is_terminal)
    fmt::print(
        "/reset forgets the conversation, /exit or Ctrl-D ends it, Ctrl-C stops an answer\n");
  for (std::string line; is_terminal || !interrupted();) {
    if (is_terminal) {
      clear_interrupt();
      fmt::print("> ");
      std::fflush(stdout);
    }
    if (!std::getline(std::cin, line) || line == "/exit") return;
    if (line == "/reset") chat.reset();
    if (line.empty() || line == "/reset") continue;
    try {
      answer_message(chat, line, json, turns);
    } catch (const std::exception& error) {
      if (!is_terminal) throw;
      fmt::print(stderr, "stamp: {}\n", error.what());
    }
  }
}

int run(const CLI::App& app, Flags& flags) {
  const ChatTemplate chat_template = open_template(flags);
  TextModel text = open_text_model(app, flags.text);
  const int64_t positions = text.model->config().max_positions;
  if (app.count("--context") == 0) flags.context = std::min(flags.context, positions);
  Chat chat(*text.model, text.tokenizer, chat_template,
            {.generate = flags.text.generate,
             .system = flags.system,
             .capacity = flags.context,
             .now = local_time()},
            text.context);
  Json turns = Json::array();
  for (const std::string& message : flags.messages)
    if (!interrupted()) answer_message(chat, message, flags.json, turns);
  if (flags.messages.empty()) converse(chat, flags.json, turns);
  if (flags.json)
    fmt::print(
        "{}\n",
        Json{{"recipe", text.recipe.name}, {"simulated", text.model->simulated()}, {"turns", turns}}
            .dump(2));
  return 0;
}

}  // namespace

void add_chat(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<Flags>();
  flags->text.generate.max_new_tokens = 1024;
  add_text_model(app, flags->text);
  app.add_option("--message", flags->messages,
                 "message to answer, may be repeated; without one they are read from standard "
                 "input, one per line")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--system", flags->system, "system message");
  app.add_option("--chat-template", flags->template_file,
                 "file to take the template from, instead of the model's")
      ->check(CLI::ExistingFile);
  app.add_option(
      "--context", flags->context,
      "tokens of the whole conversation; default 4096, or the model's positions if fewer");
  app.add_flag("--json", flags->json, "print JSON at the end instead of streaming");
  app.callback([&app, flags, &exit_code] { exit_code = run(app, *flags); });
}

}  // namespace stamp::cli
