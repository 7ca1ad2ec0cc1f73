# stamp_layer(NAME dependencies...): the static library stamp_NAME from stamp/NAME/**.cc.
function(stamp_layer name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/stamp/${name}/*.cc)
  if(name STREQUAL "kernels")
    list(FILTER sources EXCLUDE REGEX "/kernels/(avx|amx|neon)[a-z0-9_]*/")
  endif()
  if(STAMP_KERNELS_ONLY)
    list(FILTER sources EXCLUDE REGEX "/io/(sha256|image_file).cc$")  # need libraries of the target system
  endif()
  add_library(stamp_${name} STATIC ${sources})
  target_include_directories(stamp_${name} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>
                                                  $<INSTALL_INTERFACE:include>)
  target_compile_features(stamp_${name} PUBLIC cxx_std_20)
  target_link_libraries(stamp_${name} PUBLIC ${ARGN})
endfunction()

# stamp_isa(NAME PROCESSOR flags...): the kernels of one instruction set, with its own compiler flags; nothing on
# other processors.
function(stamp_isa name processor)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/stamp/kernels/${name}/*.cc)
  if(NOT CMAKE_SYSTEM_PROCESSOR STREQUAL processor)
    return()
  endif()
  add_library(stamp_kernels_${name} OBJECT ${sources})
  target_include_directories(stamp_kernels_${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(stamp_kernels_${name} PRIVATE -O3 ${ARGN})
  target_sources(stamp_kernels PRIVATE $<TARGET_OBJECTS:stamp_kernels_${name}>)
endfunction()

# stamp_tests(LAYER): one test program from tests/LAYER/**_test.cc, every test known to ctest, with the label LAYER.
function(stamp_tests layer)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${layer}/*_test.cc)
  if(NOT sources)
    return()
  endif()
  add_executable(test_${layer} ${sources})
  target_link_libraries(test_${layer} PRIVATE stamp_${layer} stamp_io GTest::gtest_main)
  target_compile_definitions(test_${layer} PRIVATE STAMP_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  # Tests run side by side: threads that spin while they wait would keep the others from running.
  gtest_discover_tests(test_${layer}
                       PROPERTIES TIMEOUT ${STAMP_TEST_SECONDS} ENVIRONMENT OMP_WAIT_POLICY=passive LABELS ${layer}
                       DISCOVERY_TIMEOUT 60)
endfunction()

# stamp_object_tests(ISA...): checks of the compiled kernels. Only a release build without sanitizers
# can keep sums in registers.
function(stamp_object_tests)
  if(NOT TARGET stamp_kernels_avx2)
    return()
  endif()
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  add_test(NAME kernels.isa_symbols
           COMMAND Python3::Interpreter ${CMAKE_SOURCE_DIR}/tools/check_isa_symbols.py ${CMAKE_BINARY_DIR})
  if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    foreach(isa ${ARGN})
      add_test(NAME kernels.no_spills.${isa} COMMAND_EXPAND_LISTS
               COMMAND Python3::Interpreter ${CMAKE_SOURCE_DIR}/tools/check_no_spills.py
                       $<TARGET_OBJECTS:stamp_kernels_${isa}>)
    endforeach()
  endif()
endfunction()

# The command line as a whole: scripts tests/cli/*.sh, called with the program's path.
function(stamp_cli_tests)
  file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/cli/*.sh)
  foreach(script ${scripts})
    get_filename_component(name ${script} NAME_WE)
    add_test(NAME cli.${name} COMMAND bash ${script} $<TARGET_FILE:stamp_cli> ${CMAKE_SOURCE_DIR})
    math(EXPR seconds "2 * ${STAMP_TEST_SECONDS}")
    set_tests_properties(cli.${name} PROPERTIES TIMEOUT ${seconds} SKIP_RETURN_CODE 77)
  endforeach()
  # A library that is preloaded must come before the sanitizers' own, which they refuse.
  if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    add_library(file_faults MODULE ${CMAKE_SOURCE_DIR}/tests/cli/file_faults.cc)
    target_link_libraries(file_faults PRIVATE ${CMAKE_DL_LIBS})
    add_test(NAME cli.writers
             COMMAND Python3::Interpreter ${CMAKE_SOURCE_DIR}/tests/cli/writers.py $<TARGET_FILE:stamp_cli>
                     ${CMAKE_SOURCE_DIR} $<TARGET_FILE:file_faults>)
    # The sanitizers' shadow memory is terabytes of address space.
    add_test(NAME cli.memory_limit
             COMMAND Python3::Interpreter ${CMAKE_SOURCE_DIR}/tests/cli/memory_limit.py $<TARGET_FILE:stamp_cli>
                     ${CMAKE_SOURCE_DIR})
    math(EXPR seconds "4 * ${STAMP_TEST_SECONDS}")
    set_tests_properties(cli.writers cli.memory_limit PROPERTIES TIMEOUT ${seconds})
  endif()
endfunction()

# stamp_benches(): one program per bench/*_bench.cc (Google Benchmark).
function(stamp_benches)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*_bench.cc)
  foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} EXCLUDE_FROM_ALL ${source})
    target_link_libraries(${name} PRIVATE stamp_pipelines benchmark::benchmark)
  endforeach()
endfunction()
