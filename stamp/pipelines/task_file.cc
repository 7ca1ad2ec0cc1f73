// Layouts of multiple-choice data sets (lm-eval's prompts).
#include <algorithm>
#include <cctype>
#include <fstream>

#include "stamp/core/error.h"
#include "stamp/pipelines/tasks.h"

namespace stamp {
namespace {

constexpr size_t kLongestLine = size_t{1} << 20;
constexpr int64_t kLargestFile = int64_t{1} << 30;
constexpr size_t kMostChoices = 64;

[[noreturn]] void reject(const std::string& what) { throw std::invalid_argument(what); }

std::string text_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string()) reject(fmt::format("{}: expected text", key));
  return found->get<std::string>();
}

std::vector<std::string> texts_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array() || found->empty() || found->size() > kMostChoices)
    reject(fmt::format("{}: expected 1 to {} texts", key, kMostChoices));
  std::vector<std::string> texts;
  for (const Json& entry : *found) {
    if (!entry.is_string()) reject(fmt::format("{}: expected texts", key));
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

/// A number, as such or as text.
int64_t index_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found != json.end() && found->is_number_integer()) {
    if (*found < 0 || *found > kMostChoices)
      reject(fmt::format("{}: expected a number from 0 to {}", key, kMostChoices));
    return found->get<int64_t>();
  }
  const std::string text = text_of(json, key);
  if (text.size() != 1 || text[0] < '0' || text[0] > '9')
    reject(fmt::format("{}: expected a number", key));
  return text[0] - '0';
}

TaskItem arc(const Json& json) {
  const auto choices = json.find("choices");
  if (choices == json.end() || !choices->is_object()) reject("choices: expected text and label");
  TaskItem item{.contexts = {"Question: " + text_of(json, "question") + "\nAnswer:"},
                .choices = texts_of(*choices, "text")};
  const std::vector<std::string> labels = texts_of(*choices, "label");
  const auto found = std::find(labels.begin(), labels.end(), text_of(json, "answerKey"));
  if (found == labels.end() || labels.size() != item.choices.size())
    reject("answerKey: is none of the labels");
  item.answer = found - labels.begin();
  return item;
}

/// "[title]" ends a heading; other brackets are remarks. Every step copies the text once, so that
/// long lines take linear time.
std::string hellaswag_text(std::string text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  const auto last = text.find_last_not_of(" \t\r\n");
  text = first == std::string::npos ? "" : text.substr(first, last - first + 1);
  constexpr std::string_view kTitle = " [title]";
  std::string without_titles, without_remarks, result;
  size_t begin = 0;
  for (size_t at; (at = text.find(kTitle, begin)) != text.npos; begin = at + kTitle.size())
    without_titles.append(text, begin, at - begin).append(". ");
  without_titles.append(text, begin);
  begin = 0;
  for (size_t open, close; (open = without_titles.find('[', begin)) != text.npos &&
                           (close = without_titles.find(']', open)) != text.npos;
       begin = close + 1)
    without_remarks.append(without_titles, begin, open - begin);
  without_remarks.append(without_titles, begin);
  // As Python's replace("  ", " "): pairs, from the left.
  for (size_t i = 0; i < without_remarks.size(); ++i) {
    result += without_remarks[i];
    if (without_remarks.compare(i, 2, "  ") == 0) ++i;
  }
  return result;
}

/// Python's str.capitalize() for ASCII.
std::string capitalized(std::string text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto letter = static_cast<unsigned char>(text[i]);
    if (letter < 128)
      text[i] = static_cast<char>(i == 0 ? std::toupper(letter) : std::tolower(letter));
  }
  return text;
}

TaskItem hellaswag(const Json& json) {
  const std::string context = text_of(json, "ctx_a") + " " + capitalized(text_of(json, "ctx_b"));
  TaskItem item{.contexts = {hellaswag_text(text_of(json, "activity_label") + ": " + context)},
                .answer = index_of(json, "label")};
  for (const std::string& ending : texts_of(json, "endings"))
    item.choices.push_back(hellaswag_text(ending));
  return item;
}

TaskItem piqa(const Json& json) {
  return {.contexts = {"Question: " + text_of(json, "goal") + "\nAnswer:"},
          .choices = {text_of(json, "sol1"), text_of(json, "sol2")},
          .answer = index_of(json, "label")};
}

TaskItem winogrande(const Json& json) {
  const std::string sentence = text_of(json, "sentence");
  const size_t blank = sentence.find('_');
  if (blank == std::string::npos) reject("sentence: expected one _");
  std::string rest = sentence.substr(blank + 1);
  rest.erase(0, rest.find_first_not_of(' ') == std::string::npos ? rest.size()
                                                                 : rest.find_first_not_of(' '));
  const std::string before = sentence.substr(0, blank);
  return {.contexts = {before + text_of(json, "option1"), before + text_of(json, "option2")},
          .choices = {rest},
          .answer = index_of(json, "answer") - 1};
}

TaskItem cloze(const Json& json) {
  return {.contexts = {text_of(json, "context")},
          .choices = texts_of(json, "choices"),
          .answer = index_of(json, "answer")};
}

struct Layout {
  const char *name, *key;
  TaskItem (*read)(const Json& json);
};
constexpr Layout kLayouts[] = {{"arc", "answerKey", arc},
                               {"hellaswag", "endings", hellaswag},
                               {"piqa", "goal", piqa},
                               {"winogrande", "option1", winogrande},
                               {"cloze", "context", cloze}};

TaskItem read_item(const Json& json, Task& task) {
  if (!json.is_object()) reject("expected an object");
  for (const Layout& layout : kLayouts) {
    if (!json.contains(layout.key)) continue;
    if (!task.items.empty() && task.layout != layout.name)
      reject(fmt::format("is {}, but earlier lines are {}", layout.name, task.layout));
    task.layout = layout.name;
    TaskItem item = layout.read(json);
    if (item.answer < 0 || item.answer >= item.count())
      reject(fmt::format("the answer is choice {} of {}", item.answer, item.count()));
    return item;
  }
  reject("is none of arc, hellaswag, piqa, winogrande, cloze");
}

}  // namespace

Task load_task(const std::filesystem::path& file) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  if (error || static_cast<int64_t>(size) > kLargestFile)
    throw_runtime("{}: expected a file of at most 1 GiB", file.string());
  std::ifstream stream(file);
  Task task = read_task(stream, file.string());
  task.name = file.stem().string();
  return task;
}

Task read_task(std::istream& text, const std::string& where) {
  Task task;
  std::string line;
  for (int64_t number = 1; std::getline(text, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      if (line.size() > kLongestLine) reject("is longer than 1 MiB");
      task.items.push_back(read_item(parse_json(line, "line"), task));
    } catch (const std::exception& what) {
      throw_runtime("{}: line {}: {}", where, number, what.what());
    }
  }
  if (task.items.empty()) throw_runtime("{}: holds no questions", where);
  task.normalises = task.layout != "winogrande";
  return task;
}

}  // namespace stamp
