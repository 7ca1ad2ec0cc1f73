#include "stamp/pipelines/verify.h"

#include <algorithm>
#include <functional>

#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/pipelines/verify_checks.h"
#include "stamp/pipelines/verify_clip.h"

namespace stamp {
namespace fs = std::filesystem;
namespace {

constexpr int kMaxDepth = 5;  // of case folders below the directory; also ends cycles of links

/// Kinds of case folders: the name of the folder that holds them.
struct Kind {
  std::string_view name;
  void (*run)(const fs::path& directory, VerifyCase& result);
};
constexpr Kind kKinds[] = {{"llm", verify_llm},         {"tok", verify_tokenizer},
                           {"sched", verify_scheduler}, {"enc", verify_encoder},
                           {"diff", verify_diffusion},  {"pipe", verify_pipeline},
                           {"clip", verify_clip}};

struct Job {
  std::string name;
  std::function<void(VerifyCase&)> run;
};

/// "llm/qwen2_bias" also when the directory given is the case itself or the folder that holds it.
std::string case_name(const fs::path& root, const fs::path& path) {
  const fs::path relative = path.lexically_relative(root);
  if (relative.has_parent_path()) return relative.generic_string();
  const fs::path absolute = fs::canonical(path);
  return (absolute.parent_path().filename() / absolute.filename()).generic_string();
}

Job case_job(const fs::path& root, const fs::path& directory) {
  const std::string name = case_name(root, directory);
  const std::string kind = fs::path(name).parent_path().filename().string();
  for (const Kind& known : kKinds) {
    if (known.name == kind) {
      return {name, [directory, &known](VerifyCase& result) { known.run(directory, result); }};
    }
  }
  return {name, [kind](VerifyCase& result) {
            result.status = VerifyCase::Status::kUnsupported;
            result.message = fmt::format("this build has nothing of kind '{}'", kind);
          }};
}

void add_transform_jobs(const fs::path& root, const fs::path& file, std::vector<Job>& jobs) {
  const std::string stem =
      fs::path(file).replace_extension().lexically_relative(root).generic_string();
  try {
    for (const std::string& family : transform_families(file)) {
      jobs.push_back({stem + "/" + family, [file, family](VerifyCase& result) {
                        verify_transform(file, family, result);
                      }});
    }
  } catch (const std::exception& error) {
    const std::string message = error.what();
    jobs.push_back({stem, [message](VerifyCase& result) { fail(result, message); }});
  }
}

bool is_present(const fs::path& path) {
  std::error_code ignored;  // a broken link counts: its case fails with a message of its own
  return fs::symlink_status(path, ignored).type() > fs::file_type::not_found;
}

void find_jobs(const fs::path& root, const fs::path& directory, int depth, std::vector<Job>& jobs) {
  if (is_present(directory / "transforms.safetensors")) {
    add_transform_jobs(root, directory / "transforms.safetensors", jobs);
  }
  if (is_present(directory / "oracle.safetensors")) {
    jobs.push_back(case_job(root, directory));
    return;
  }
  if (depth == kMaxDepth) return;
  std::error_code error;
  std::vector<fs::path> folders;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored)) folders.push_back(it->path());
  }
  std::sort(folders.begin(), folders.end());
  for (const fs::path& folder : folders) find_jobs(root, folder, depth + 1, jobs);
}

bool selected(const std::string& name, const std::vector<std::string>& only) {
  return only.empty() || std::any_of(only.begin(), only.end(), [&](const std::string& prefix) {
           return name.starts_with(prefix);
         });
}

VerifyCase run(const Job& job) {
  VerifyCase result;
  result.name = job.name;
  result.status = VerifyCase::Status::kPassed;
  try {
    job.run(result);
  } catch (const std::exception& error) {
    fail(result, error.what());
  }
  return result;
}

}  // namespace

std::vector<VerifyCase> verify(const VerifyOptions& options) {
  if (!fs::is_directory(options.directory)) {
    throw_runtime("verify: {} is not a directory", options.directory.string());
  }
  std::vector<Job> jobs;
  find_jobs(options.directory, options.directory, 0, jobs);
  if (jobs.empty()) {
    throw_runtime("verify: {} holds no case, expected folders with an oracle.safetensors",
                  options.directory.string());
  }
  std::erase_if(jobs, [&](const Job& job) { return !selected(job.name, options.only); });
  if (jobs.empty()) throw_argument("verify: no case has one of the names asked for");
  Progress progress("verify", static_cast<int64_t>(jobs.size()), "cases");
  std::vector<VerifyCase> cases;
  for (const Job& job : jobs) {
    if (interrupted()) throw_runtime("verify: interrupted");
    cases.push_back(run(job));
    progress.advance(1);
  }
  return cases;
}

}  // namespace stamp
