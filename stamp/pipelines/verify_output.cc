// What verify() found, for people and for programs.
#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/pipelines/verify.h"

namespace stamp {
namespace {

const char* status_name(VerifyCase::Status status) {
  switch (status) {
    case VerifyCase::Status::kPassed:
      return "passed";
    case VerifyCase::Status::kFailed:
      return "FAILED";
    case VerifyCase::Status::kUnsupported:
      return "unsupported";
  }
  return "?";
}

int64_t count(const std::vector<VerifyCase>& cases, VerifyCase::Status status) {
  return std::count_if(cases.begin(), cases.end(),
                       [&](const VerifyCase& item) { return item.status == status; });
}

std::string details(const VerifyCase& item) {
  std::string text;
  if (!item.worst_tensor.empty()) {
    text =
        fmt::format("{:.1e} of {:.0e} at {}", item.worst_error, item.tolerance, item.worst_tensor);
  }
  if (!item.message.empty()) text += (text.empty() ? "" : "; ") + item.message;
  return text;
}

}  // namespace

std::string to_text(const std::vector<VerifyCase>& cases) {
  size_t width = 4;
  for (const VerifyCase& item : cases) width = std::max(width, item.name.size());
  std::string text;
  for (const VerifyCase& item : cases) {
    const std::string line = fmt::format("{:<{}}  {:<11}  {}", item.name, width,
                                         status_name(item.status), details(item));
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text + fmt::format("{} passed, {} failed, {} unsupported\n",
                            count(cases, VerifyCase::Status::kPassed),
                            count(cases, VerifyCase::Status::kFailed),
                            count(cases, VerifyCase::Status::kUnsupported));
}

Json to_json(const std::vector<VerifyCase>& cases) {
  Json list = Json::array();
  for (const VerifyCase& item : cases) {
    std::string status = status_name(item.status);
    std::transform(status.begin(), status.end(), status.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    list.push_back({{"name", item.name},
                    {"status", status},
                    {"worst_error", item.worst_error},
                    {"tolerance", item.tolerance},
                    {"worst_tensor", item.worst_tensor},
                    {"message", item.message}});
  }
  return {{"schema", 1},
          {"passed", count(cases, VerifyCase::Status::kPassed)},
          {"failed", count(cases, VerifyCase::Status::kFailed)},
          {"unsupported", count(cases, VerifyCase::Status::kUnsupported)},
          {"cases", list}};
}

}  // namespace stamp
