# libtorch as PyTorch's wheel brings it: cmake -DTorch_DIR=cmake/wheel -DPython3_EXECUTABLE=PYTHON. The wheel's own file asks
# for a whole CUDA toolkit; who calls libtorch needs headers alone, those of nvcc and of the wheels beside PyTorch's.

find_package(Python3 REQUIRED COMPONENTS Interpreter)
execute_process(
  COMMAND ${Python3_EXECUTABLE} -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
  OUTPUT_VARIABLE TORCH_INSTALL_PREFIX OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)

# What libtorch's targets name and who links them does without.
foreach(target caffe2::mkl protobuf::libprotobuf torch::cudart)
  add_library(${target} INTERFACE IMPORTED)
endforeach()
if(EXISTS ${TORCH_INSTALL_PREFIX}/lib/libtorch_cuda.so)
  file(GLOB cuda_roots /usr/local/cuda-*)
  find_path(CUDA_HOST_HEADERS crt/host_defines.h HINTS ENV CUDA_HOME PATHS /usr/local/cuda /usr/lib/cuda ${cuda_roots}
            PATH_SUFFIXES include targets/x86_64-linux/include REQUIRED)
  file(GLOB wheels ${TORCH_INSTALL_PREFIX}/../nvidia/*/include)
  file(GLOB runtime ${TORCH_INSTALL_PREFIX}/../nvidia/*/lib/libcudart.so.*)
  if(NOT runtime)
    find_library(runtime cudart HINTS ${CUDA_HOST_HEADERS}/.. PATH_SUFFIXES lib64 lib REQUIRED)
  endif()
  set_target_properties(torch::cudart PROPERTIES INTERFACE_LINK_LIBRARIES ${runtime}
                                                 INTERFACE_INCLUDE_DIRECTORIES "${CUDA_HOST_HEADERS};${wheels}")
endif()

include(${TORCH_INSTALL_PREFIX}/share/cmake/Caffe2/Caffe2Targets.cmake)
set_property(TARGET torch APPEND PROPERTY INTERFACE_INCLUDE_DIRECTORIES ${TORCH_INSTALL_PREFIX}/include
                                          ${TORCH_INSTALL_PREFIX}/include/torch/csrc/api/include)
