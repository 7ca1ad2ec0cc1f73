#include "stamp/io/json_builder.h"

#include "stamp/core/error.h"
#include "stamp/core/memory_reserve.h"

namespace stamp {
namespace {

constexpr size_t kMaxDepth = 64;
constexpr int64_t kMaxValues = int64_t{1} << 23;

}  // namespace

Json* JsonBuilder::place(Json value) {
  if (++values_ > kMaxValues)
    throw_runtime("{}: JSON holds more than {} values", where_, kMaxValues);
  require_memory();
  Json* target = &root_;
  if (!open_.empty() && open_.back()->is_array()) {
    open_.back()->push_back(nullptr);
    target = &open_.back()->back();
  } else if (!open_.empty()) {
    target = named_;
  }
  *target = std::move(value);
  return target;
}

bool JsonBuilder::open(Json container) {
  if (open_.size() == kMaxDepth)
    throw_runtime("{}: JSON is nested deeper than {} levels", where_, kMaxDepth);
  open_.push_back(place(std::move(container)));
  return true;
}

bool JsonBuilder::close() {
  open_.pop_back();
  return true;
}

bool JsonBuilder::key(std::string& name) {
  const auto [entry, is_new] = open_.back()->emplace(name, nullptr);
  if (!is_new)
    throw_runtime("{}: JSON key '{}' occurs twice in one object", where_, name.substr(0, 200));
  named_ = &entry.value();
  return true;
}

bool JsonBuilder::parse_error(size_t, const std::string&,
                              const nlohmann::detail::exception& error) {
  throw_runtime("{}: not valid JSON, {}", where_, std::string(error.what()).substr(0, 300));
}

}  // namespace stamp
