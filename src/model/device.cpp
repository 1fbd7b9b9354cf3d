#include <torch/cuda.h>

#include <charconv>

#include "model_file.hpp"
#include "onestep/error.hpp"

namespace onestep {

torch::Device find_device(const std::string& name) {
  if (name == "cpu") return torch::kCPU;
  const std::string index = name.starts_with("cuda:") ? name.substr(5) : name == "cuda" ? "0" : "";
  int i = -1;
  const auto [end, error] = std::from_chars(index.data(), index.data() + index.size(), i);
  if (index.empty() || error != std::errc{} || end != index.data() + index.size() || i < 0) {
    throw Error(ErrorKind::usage, "device " + name + " is none; give cpu, cuda or cuda:0, cuda:1, ...");
  }
  const int devices = torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
  if (i >= devices) {
    throw Error(ErrorKind::usage, "device " + name + ": this machine has " +
                                      (devices == 0 ? "no CUDA device that this libtorch can use; use cpu"
                                                    : std::to_string(devices) + " CUDA devices, counted from cuda:0"));
  }
  return {torch::kCUDA, static_cast<c10::DeviceIndex>(i)};
}

}  // namespace onestep
