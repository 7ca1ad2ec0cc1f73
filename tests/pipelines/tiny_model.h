#pragma once
// A directory with a random model of two layers, a tokenizer of letters, and texts.
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>

#include "stamp/core/rng.h"
#include "stamp/io/json.h"

namespace stamp {

class TinyModel {
 public:
  explicit TinyModel(const std::string& name)
      : path_(std::filesystem::temp_directory_path() /
              ("stamp_" + name + "_" + std::to_string(::getpid()))) {
    namespace fs = std::filesystem;
    const fs::path data = fs::path(STAMP_SOURCE_DIR) / "tests/data";
    fs::remove_all(path_);
    fs::create_directories(path_);
    for (const auto& file : fs::directory_iterator(data / "llm/llama/ckpt"))
      fs::copy(file.path(), path_ / file.path().filename());
    write_tokenizer(data / "tok/llama3/ckpt");
    write_text("calibration.txt", 1);
    write_text("heldout.txt", 2);
  }
  ~TinyModel() { std::filesystem::remove_all(path_); }
  TinyModel(const TinyModel&) = delete;
  TinyModel& operator=(const TinyModel&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  void write_tokenizer(const std::filesystem::path& model) {
    Json json = read_json(model / "tokenizer.json");
    json["model"]["merges"] = Json::array();
    // Every byte has a token; those of the texts are in the model's vocabulary of 64.
    Json vocab;
    int small = 2, large = 64;
    for (const auto& [token, id] : json["model"]["vocab"].items()) {
      const bool byte =
          std::count_if(token.begin(), token.end(), [](char c) { return (c & 0xC0) != 0x80; }) == 1;
      const bool used = (token.size() == 1 && std::islower(static_cast<unsigned char>(token[0]))) ||
                        token == "\u0120" || token == "\u010a";
      if (byte) vocab[token] = used ? small++ : large++;
    }
    json["model"]["vocab"] = vocab;
    json["added_tokens"].erase(json["added_tokens"].begin() + 1, json["added_tokens"].end());
    json["added_tokens"][0]["id"] = 0;
    json["post_processor"]["processors"][1]["special_tokens"]["<|begin_of_text|>"]["ids"] = {0};
    std::ofstream(path_ / "tokenizer.json") << json.dump();
    Json config = read_json(model / "tokenizer_config.json");
    config.erase("eos_token");
    std::ofstream(path_ / "tokenizer_config.json") << config.dump();
  }
  void write_text(const char* name, uint64_t seed) {
    Rng rng(seed);
    std::ofstream file(path_ / name);
    for (int i = 0; i < 1500; ++i)
      file << (rng.below(5) == 0 ? ' ' : static_cast<char>('a' + rng.below(26)));
    file << '\n';
  }

  std::filesystem::path path_;
};

}  // namespace stamp
