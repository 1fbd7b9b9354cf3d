# The Debian package: cpack -G DEB, in the build folder. All that cmake --install installs, in Debian's places.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_CONTACT "The onestep authors <onestep@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "consistency models: samples in one network call or a few")
set(CPACK_PACKAGE_DESCRIPTION
    "A command line and libraries for C and C++, with trained models. They run on the user's own libtorch ${Torch_VERSION}: in \$ONESTEP_TORCH, among the system's libraries, or that of python3.")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
# Debian's own libraries, as the programs name them; libtorch is in no package, and is the user's.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${TORCH_INSTALL_PREFIX}/lib)
# To build with the libraries: what onestepConfig.cmake looks for.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS
    "g++, cmake, pkg-config, libdeflate-dev, libexif-dev, libgif-dev, libhwy-dev, libjpeg-dev, libpng-dev, libsndfile1-dev, libwebp-dev, libzip-dev, zlib1g-dev")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_ONESTEP_LAUNCHER ${PROJECT_BINARY_DIR}/onestep.sh)
configure_file(${CMAKE_CURRENT_LIST_DIR}/onestep.sh.in ${CPACK_ONESTEP_LAUNCHER} @ONLY)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/to_debian.cmake)
include(CPack)
