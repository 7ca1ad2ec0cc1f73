#pragma once
// A folder that grows beside its final name and survives any interruption.
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "stamp/io/file_descriptor.h"
#include "stamp/io/json.h"

namespace stamp {

struct FinishedFile {
  int64_t bytes = 0;
  std::string sha256;
};

/// OUT.partial: `content/` becomes OUT, `journal.json` says which of its files are finished. One
/// job at a time; the processes of a job (communicator()) see the same folder and make the same
/// calls, of which the first does the work.
class WorkDirectory {
 public:
  /// Creates or continues OUT.partial. `identity` is an object that describes what the content
  /// depends on, `command` is kept from the first run. Finished files are checked (size, SHA-256);
  /// everything else in content/ is deleted. Throws std::invalid_argument when OUT.partial was
  /// begun with another identity, std::runtime_error when another process works on it or it cannot
  /// be written.
  WorkDirectory(std::filesystem::path out, const Json& identity, const std::string& command);

  /// True when an earlier run was ended between giving OUT its name and tidying up.
  bool is_published() const { return published_; }
  const std::filesystem::path& content() const { return content_; }
  const std::string& command() const { return command_; }
  const std::map<std::string, FinishedFile>& files() const { return files_; }
  bool is_finished(const std::string& file) const { return files_.contains(file); }
  int64_t finished_bytes() const;
  /// Hashes a file of content/ and enters it into the journal.
  void finish(const std::string& file);
  /// Gives the content its name, in place of what is there when `replace`, and removes OUT.partial.
  void publish(bool replace);

 private:
  void begin();
  /// Tells the other processes what the first one knows.
  void share();
  void read_journal(const Json& identity);
  void write_journal() const;
  void keep_finished_files();

  std::filesystem::path out_, folder_, content_, journal_;
  std::optional<FileDescriptor> lock_;  // of the first process
  Json identity_;
  std::string command_;
  std::map<std::string, FinishedFile> files_;
  bool published_ = false;
};

}  // namespace stamp
