#pragma once
// Checks this build against folders of reference outputs made by transformers, tokenizers and
// scipy.
#include <filesystem>
#include <string>
#include <vector>

#include "stamp/io/json.h"

namespace stamp {

struct VerifyOptions {
  std::filesystem::path directory;
  std::vector<std::string> only;  // prefixes of case names; empty: all
};

struct VerifyCase {
  enum class Status { kPassed, kFailed, kUnsupported };
  std::string name;
  Status status = Status::kUnsupported;
  double worst_error = 0;  // relative: max|got - want| / max|want|
  double tolerance = 0;
  std::string worst_tensor, message;
};

/// Runs all cases found below the directory (llm/*, tok/*, transforms, sched/*, ...); cases of
/// kinds this build does not know are kUnsupported. Throws std::runtime_error when the directory
/// holds no case at all.
std::vector<VerifyCase> verify(const VerifyOptions& options);
std::string to_text(const std::vector<VerifyCase>& cases);
Json to_json(const std::vector<VerifyCase>& cases);

}  // namespace stamp
