#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app_tree.h"

namespace stamp::cli {
namespace {

/// Text for man(7): hyphens that can be copied, no line that reads as a request.
std::string troff(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (result.empty() && (c == '.' || c == '\'')) result += "\\&";
    if (c == '\\')
      result += "\\e";
    else if (c == '-')
      result += "\\-";
    else
      result += c == '\n' ? ' ' : c;
  }
  return result;
}

std::string entry(const FlagText& flag) {
  std::string values;
  if (!flag.values.empty()) values = fmt::format(" ({})", fmt::join(flag.values, ", "));
  return fmt::format(
      ".TP\n\\fB{}\\fR{}\n{}\n", troff(fmt::format("{}", fmt::join(flag.names, ", "))),
      flag.takes_value && !flag.positional ? " \\fIVALUE\\fR" : "", troff(flag.help + values));
}

}  // namespace

std::string manual_page(const std::vector<CommandText>& commands, const std::string& help,
                        const std::string& version) {
  std::string text = fmt::format(
      R"(.TH STAMP 1 "" "stamp {}" "User Commands"
.SH NAME
stamp \- low\-bit inference of language and image models on CPUs
.SH SYNOPSIS
.B stamp
.I COMMAND
.RI [ OPTIONS ]
.SH DESCRIPTION
{}
.PP
Models are ordinary Hugging Face directories; a recipe is a preset's name or a JSON file. Every command has
.BR \-\-help .
.SH COMMANDS
)",
      troff(version), troff(help));
  for (const CommandText& command : commands) {
    text += fmt::format(".SS stamp {}\n{}\n", troff(command.name), troff(command.help));
    for (const FlagText& flag : command.flags) text += entry(flag);
  }
  return text + R"(.SH EXIT STATUS
0: done. 1: files, the system or a check failed. 2: an option that cannot be. 3: something unsupported.
.SH ENVIRONMENT
.TP
.B STAMP_ISA
the instruction set to use instead of the best one: scalar, avx2, avxvnni, avx512, avx512vnni, amx, neon, neon_dotprod,
neon_i8mm
.TP
.B OMP_NUM_THREADS
threads, where \-\-threads says nothing
)";
}

}  // namespace stamp::cli
