#include "stamp/pipelines/score_journal.h"

#include <algorithm>

#include "stamp/core/bytes.h"
#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/core/version.h"
#include "stamp/io/atomic_file.h"
#include "stamp/io/model_files.h"
#include "stamp/io/sha256.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;

std::string entry_of(const std::string& result) {
  ByteWriter bytes;
  bytes.put_all(result);
  return bytes.take();
}

std::vector<std::string> entries_of(const std::string& text) {
  std::vector<std::string> entries;
  ByteReader bytes(text);
  try {
    while (!bytes.at_end()) entries.push_back(bytes.get_all<std::string>());
  } catch (const std::runtime_error&) {  // ended in the middle of the last one
  }
  return entries;
}

}  // namespace

ScoreJournal::ScoreJournal(const fs::path& folder, const Json& identity) {
  if (folder.empty()) return;
  if (is_first_process()) open(folder, identity);
  std::string own;
  for (const std::string& result : finished_) own += entry_of(result);
  finished_ = entries_of(communicator().gather(own).front());
}

void ScoreJournal::open(const fs::path& folder, const Json& identity) {
  const Json whole = {{"program", version() + " " + build_commit()}, {"identity", identity}};
  path_ = folder / fmt::format("scores-{}.bin", sha256(whole.dump()).substr(0, 16));
  make_folders(folder);
  uintmax_t good = 0;
  if (fs::exists(path_)) {
    finished_ = entries_of(read_text(path_));
    for (const std::string& result : finished_) good += entry_of(result).size();
    fs::resize_file(path_, good);
  }
  file_.open(path_, std::ios::binary | std::ios::app);
  if (!file_) throw_runtime("{}: cannot be written", path_.string());
}

void ScoreJournal::add(const std::string& result) {
  if (path_.empty()) return;
  const std::string entry = entry_of(result);
  file_.write(entry.data(), static_cast<std::streamsize>(entry.size()));
  file_.flush();
  if (!file_) throw_runtime("{}: cannot be written; is the disk full?", path_.string());
}

Json file_stamps(const fs::path& path) {
  Json files = Json::array();
  const auto add = [&](const fs::directory_entry& entry) {
    if (entry.is_regular_file())
      files.push_back({entry.path().filename().string(), entry.file_size(),
                       entry.last_write_time().time_since_epoch().count()});
  };
  if (fs::is_directory(path))
    for (const auto& entry : fs::directory_iterator(path)) add(entry);
  else
    add(fs::directory_entry(path));
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace stamp
