// Questions of multiple-choice tasks, as JSON lines: the answer is one of the choices.
#include <sstream>

#include "stamp/pipelines/tasks.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stamp;
  fuzz::accepted([&] {
    std::istringstream text{std::string(fuzz::text_of(data, size))};
    const Task task = read_task(text, fuzz::kWhere);
    fuzz::require(!task.items.empty() && !task.layout.empty(), "a task without questions");
    for (const TaskItem& item : task.items) {
      fuzz::require(item.answer >= 0 && item.answer < item.count(), "an answer that is no choice");
      for (const auto* texts : {&item.contexts, &item.choices})
        fuzz::require(texts->size() == 1 || std::ssize(*texts) == item.count(),
                      "choices that do not fit together");
    }
  });
  return 0;
}
