#pragma once
// Finished windows of an evaluation on disk, so that an interrupted run goes on where it ended.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "stamp/io/json.h"

namespace stamp {

/// Results in the order of their windows, of one model, recipe and text: FOLDER/scores-HASH.bin, to
/// which every window is added as it ends. Of several processes the first has the file; the others
/// make the same calls.
class ScoreJournal {
 public:
  /// Keeps nothing.
  ScoreJournal() = default;
  /// Opens or creates the file of `identity`: everything that results depend on. A last entry that
  /// was not written to its end is dropped. Throws std::runtime_error when the folder cannot be
  /// written.
  ScoreJournal(const std::filesystem::path& folder, const Json& identity);
  /// What an earlier run finished; known to all processes.
  const std::vector<std::string>& finished() const { return finished_; }
  /// Throws std::runtime_error when it cannot be written.
  void add(const std::string& result);

 private:
  void open(const std::filesystem::path& folder, const Json& identity);

  std::filesystem::path path_;
  std::ofstream file_;
  std::vector<std::string> finished_;
};

/// Names, sizes and times of a file, or of the files in a directory, folders apart, sorted: what a
/// cache may take for the same. Throws std::filesystem::filesystem_error when it cannot be listed.
Json file_stamps(const std::filesystem::path& path);

}  // namespace stamp
