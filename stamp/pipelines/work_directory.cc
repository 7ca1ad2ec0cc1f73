#include "stamp/pipelines/work_directory.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/file.h>

#include "stamp/core/bytes.h"
#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/io/sha256.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;

fs::path with_suffix(fs::path path, const char* suffix) {
  path += suffix;
  return path;
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directory(folder, error);
  if (error) throw_runtime("{}: cannot create the folder, {}", folder.string(), error.message());
}

/// An advisory lock on the folder itself: the system drops it however the process ends.
FileDescriptor lock_folder(const fs::path& folder) {
  make_folder(folder);
  FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0) throw_runtime("{}: cannot open, {}", folder.string(), errno_text());
  if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0)
    throw_runtime("{}: another process is writing there", folder.string());
  return descriptor;
}

void rename_folder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error)
    throw_runtime("{}: cannot rename to {}, {}", from.string(), to.string(), error.message());
}

}  // namespace

WorkDirectory::WorkDirectory(fs::path out, const Json& identity, const std::string& command)
    : out_(std::move(out)),
      folder_(with_suffix(out_, ".partial")),
      content_(folder_ / "content"),
      journal_(folder_ / "journal.json"),
      identity_(identity),
      command_(command) {
  if (is_first_process()) begin();
  share();
}

void WorkDirectory::begin() {
  lock_.emplace(lock_folder(folder_));
  if (fs::exists(journal_)) {
    read_journal(identity_);
    if (!fs::exists(content_)) {
      published_ = true;
      return;
    }
  }
  make_folder(content_);
  keep_finished_files();
  write_journal();
}

void WorkDirectory::share() {
  ByteWriter own;
  own.put(published_);
  own.put_all(command_);
  for (const auto& [file, entry] : files_) {
    own.put_all(file);
    own.put(entry.bytes);
    own.put_all(entry.sha256);
  }
  const std::vector<std::string> all = communicator().gather(own.take());
  ByteReader first(all.front());
  published_ = first.get<bool>();
  command_ = first.get_all<std::string>();
  files_.clear();
  while (!first.at_end()) {
    FinishedFile& file = files_[first.get_all<std::string>()];
    file.bytes = first.get<int64_t>();
    file.sha256 = first.get_all<std::string>();
  }
}

void WorkDirectory::read_journal(const Json& identity) {
  const Json journal = read_json(journal_);
  std::vector<std::string> differing;
  try {
    const Json& begun = journal.at("identity");
    for (const auto& [key, value] : identity.items())
      if (begun.at(key) != value) differing.push_back(key);
    command_ = journal.at("command").get<std::string>();
    for (const auto& [file, entry] : journal.at("files").items())
      files_[file] = {entry.at("bytes").get<int64_t>(), entry.at("sha256").get<std::string>()};
  } catch (const Json::exception& error) {
    throw_runtime("{}: not a journal of this program, {}; delete {} to start over",
                  journal_.string(), error.what(), folder_.string());
  }
  if (!differing.empty())
    throw_argument(
        "{}: was begun by '{}' and has another {} now; end that first, or delete the folder to "
        "start over",
        folder_.string(), command_, fmt::join(differing, ", "));
}

void WorkDirectory::write_journal() const {
  Json files = Json::object();
  for (const auto& [file, entry] : files_)
    files[file] = {{"bytes", entry.bytes}, {"sha256", entry.sha256}};
  const Json journal = {{"identity", identity_}, {"command", command_}, {"files", files}};
  write_file_atomically(journal_, journal.dump(1) + "\n");
}

void WorkDirectory::keep_finished_files() {
  std::erase_if(files_, [&](const auto& item) {
    const fs::path file = content_ / item.first;
    std::error_code ignored;
    return !fs::is_regular_file(file, ignored) ||
           static_cast<int64_t>(fs::file_size(file)) != item.second.bytes ||
           sha256_file(file) != item.second.sha256;
  });
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(content_))
    if (!files_.contains(entry.path().filename().string())) leftovers.push_back(entry.path());
  for (const fs::path& path : leftovers) fs::remove_all(path);
}

int64_t WorkDirectory::finished_bytes() const {
  int64_t bytes = 0;
  for (const auto& [file, entry] : files_) bytes += entry.bytes;
  return bytes;
}

void WorkDirectory::finish(const std::string& file) {
  const fs::path path = content_ / file;
  if (is_first_process()) {
    files_[file] = {static_cast<int64_t>(fs::file_size(path)), sha256_file(path)};
    write_journal();
  }
  share();
}

void WorkDirectory::publish(bool replace) {
  if (!is_first_process()) return;
  const fs::path replaced = folder_ / "replaced";
  if (!published_) {
    if (replace && fs::exists(out_)) rename_folder(out_, replaced);
    rename_folder(content_, out_);
  }
  fs::remove_all(replaced);
  // Gone at once: a folder that lacks its journal would look like other work in the way.
  const fs::path removed = out_.string() + ".removed";
  fs::remove_all(removed);
  rename_folder(folder_, removed);
  fs::remove_all(removed);
}

}  // namespace stamp
