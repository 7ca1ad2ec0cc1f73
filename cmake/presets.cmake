# Compiles recipes/*.json into stamp_quant, so that the program needs no files to know its presets.
file(GLOB preset_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/recipes/*.json)
list(SORT preset_files)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${preset_files})

set(preset_rows "")
foreach(preset_file IN LISTS preset_files)
  get_filename_component(preset_name ${preset_file} NAME_WE)
  file(READ ${preset_file} preset_json)
  string(APPEND preset_rows "    {\"${preset_name}\", R\"json(${preset_json})json\"},\n")
endforeach()

file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/preset_data.cc @ONLY CONTENT
"// Written by cmake/presets.cmake from recipes/*.json.
#include \"stamp/quant/presets.h\"

namespace stamp {
namespace {

constexpr Preset kPresets[] = {
@preset_rows@};

}  // namespace

std::span<const Preset> presets() { return kPresets; }

}  // namespace stamp
")
target_sources(stamp_quant PRIVATE ${CMAKE_BINARY_DIR}/generated/preset_data.cc)
