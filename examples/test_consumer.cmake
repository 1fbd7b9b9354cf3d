# Builds examples/consumer in WORK, by WAY, and runs it. For find_package the project is copied away from the source tree
# and no installed CMake file may name that tree.
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${WORK})
file(COPY ${SOURCE}/examples/consumer DESTINATION ${WORK})
# In the environment, because a list given as an argument would be split.
string(JOIN ":" prefixes ${WORK}/installed ${PREFIX_PATH})
set(ENV{CMAKE_PREFIX_PATH} "${prefixes}")
function(configure)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -S ${WORK}/consumer -B ${WORK}/build -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Release
            -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER} ${ARGN}
    ERROR_VARIABLE warnings ECHO_ERROR_VARIABLE COMMAND_ERROR_IS_FATAL ANY)
  if(warnings MATCHES "safe runtime search path")
    message(FATAL_ERROR "a project that uses onestep is warned of libraries that hide each other")
  endif()
endfunction()
if(WAY STREQUAL add_subdirectory)
  configure(-DONESTEP_SOURCE=${SOURCE})
  set(model ${SOURCE}/models/fashion.pt)
else()
  run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/first)
  # Moved after it was installed: nothing in it may depend on where that was.
  file(RENAME ${WORK}/first ${WORK}/installed)
  file(GLOB_RECURSE files ${WORK}/installed/*.cmake)
  foreach(file ${files})
    file(READ ${file} text)
    string(FIND "${text}" "${SOURCE}/src" place)
    if(NOT place EQUAL -1)
      message(FATAL_ERROR "${file} names the source tree")
    endif()
  endforeach()
  configure()
  set(model ${WORK}/installed/share/onestep/models/fashion.pt)
  run(${WORK}/installed/bin/onestep inspect fashion)
endif()
run(${CMAKE_COMMAND} --build ${WORK}/build --target consumer)
run(${WORK}/build/consumer ${model})
