# What `cmake --install` and `cpack` (make deb) put where: program, manual page, completions, library with headers and CMake
# package, bundled models. pip takes the component "python" instead.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS stamp_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

foreach(layer ${tested_layers})
  set_target_properties(stamp_${layer} PROPERTIES EXPORT_NAME ${layer})
  install(TARGETS stamp_${layer} EXPORT stampTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endforeach()
install(DIRECTORY stamp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/stamp)
install(EXPORT stampTargets NAMESPACE stamp:: DESTINATION ${config_folder})
configure_file(cmake/stampConfig.cmake.in stampConfig.cmake COPYONLY)
write_basic_package_version_file(stampConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/stampConfig.cmake ${CMAKE_BINARY_DIR}/stampConfigVersion.cmake
        DESTINATION ${config_folder})

# written by the program itself
set(documents ${CMAKE_BINARY_DIR}/documents)
file(MAKE_DIRECTORY ${documents})
add_custom_command(
  OUTPUT ${documents}/stamp.1.gz
  COMMAND stamp_cli completion bash > ${documents}/stamp
  COMMAND stamp_cli completion zsh > ${documents}/_stamp
  COMMAND stamp_cli completion fish > ${documents}/stamp.fish
  COMMAND stamp_cli completion man > ${documents}/stamp.1
  COMMAND gzip -9nf ${documents}/stamp.1
  DEPENDS stamp_cli
  VERBATIM)
add_custom_target(stamp_documents ALL DEPENDS ${documents}/stamp.1.gz)
install(FILES ${documents}/stamp.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${documents}/stamp DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${documents}/_stamp DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES ${documents}/stamp.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

install(DIRECTORY demo/llm demo/image DESTINATION ${CMAKE_INSTALL_DATADIR}/stamp/demo)
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME stamp)
set(CPACK_PACKAGE_CONTACT "the stamp authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "low-bit inference of language and image models on CPUs")
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# for programs that use the library
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "g++, cmake, pkg-config, libfmt-dev, nlohmann-json3-dev, libeigen3-dev, libdnnl-dev, \
libssl-dev, libpng-dev, libjpeg-dev, libpcre2-dev, libutf8proc-dev, libboost-dev, ocl-icd-opencl-dev, opencl-headers")
include(CPack)
