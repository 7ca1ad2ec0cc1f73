#include "stamp/server/completion_text.h"

#include <algorithm>
#include <utility>

namespace stamp {
namespace {

/// Length of the longest end of `text` that is the beginning of `stop`, but not all of it.
size_t begun(const std::string& text, const std::string& stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length)
    if (text.compare(text.size() - length, length, stop, 0, length) == 0) return length;
  return 0;
}

}  // namespace

std::string CompletionText::add(const std::string& piece) {
  if (stopped_) return {};
  held_ += piece;
  size_t found = std::string::npos, keep = 0;
  for (const std::string& stop : stops_) {
    found = std::min(found, held_.find(stop));
    keep = std::max(keep, begun(held_, stop));
  }
  if (found != std::string::npos) {
    stopped_ = true;
    held_.resize(found);
    return std::exchange(held_, {});
  }
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string CompletionText::finish() { return stopped_ ? std::string() : std::exchange(held_, {}); }

}  // namespace stamp
