// Runs a fuzz target on files, without libFuzzer: seeds and regressions as an ordinary test.
//   replay_TARGET PATH...   files, or folders with files, of which some may be absent; exit code 1
//   when there is no file
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "stamp/io/json.h"
#include "tests/fuzz/fuzz.h"

namespace {

namespace fs = std::filesystem;
constexpr double kHangSeconds = 20;  // under sanitizers, on a busy machine

std::vector<fs::path> files_of(const fs::path& path) {
  if (!fs::exists(path)) return {};  // a target without regressions
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

/// Seconds that the target took.
double replay(const fs::path& file) {
  const std::string text = stamp::read_text(file);
  const auto begin = std::chrono::steady_clock::now();
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main(int count, char** arguments) {
  int replayed = 0, slow = 0;
  for (int i = 1; i < count; ++i) {
    for (const fs::path& file : files_of(arguments[i])) {
      std::printf("%s\n", file.c_str());
      std::fflush(stdout);  // names the file when the target ends the program
      const double seconds = replay(file);
      ++replayed;
      if (seconds < kHangSeconds) continue;
      std::printf("  took %.0f s\n", seconds);
      ++slow;
    }
  }
  std::printf("%d inputs, %d slow\n", replayed, slow);
  return replayed == 0 || slow > 0;
}
