#pragma once
// Flags that the commands which draw images share.
#include "command.h"
#include "stamp/pipelines/image.h"

namespace stamp::cli {

/// What turns into ImageOptions once the flags are read.
struct ImageFlags {
  ImageOptions options;
  std::filesystem::path prompts_file, instruction_file, calibration_file;
  std::string size;
  std::vector<std::string> calibration_prompts;
};

/// --prompts --negative-prompt --instruction --steps --guidance --seed --size --tile --max-tokens
/// --calibration-prompts.
void add_image_flags(CLI::App& app, ImageFlags& flags);
/// Reads the files and the size. Throws std::invalid_argument for sizes that are none.
void finish_image_flags(ImageFlags& flags);

}  // namespace stamp::cli
