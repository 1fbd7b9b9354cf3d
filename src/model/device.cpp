#include "device.hpp"

#include <ATen/DeviceAccelerator.h>

#include <optional>

#include "onestep/error.hpp"

namespace onestep {

torch::Device find_device(const std::string& name) {
  std::optional<torch::Device> device;
  try {
    device.emplace(name);
  } catch (const c10::Error&) {
  }
  if (!device || !(device->is_cpu() || at::accelerator::isAccelerator(device->type()))) {
    throw Error(ErrorKind::usage, "device " + name + " is none; give cpu, cuda or cuda:0, cuda:1, ...");
  }
  if (device->is_cpu()) return torch::kCPU;
  const int index = device->has_index() ? device->index() : 0;
  const bool is_there = at::accelerator::getAccelerator() == device->type();
  const int devices = is_there ? at::accelerator::deviceCount() : 0;
  if (index >= devices) {
    const std::string kind = c10::DeviceTypeName(device->type());
    throw Error(ErrorKind::usage,
                "device " + name + ": this machine has " +
                    (devices == 0 ? "no " + kind + " device that this libtorch can use; use cpu"
                                  : std::to_string(devices) + " " + kind + " devices, counted from 0"));
  }
  return {device->type(), static_cast<c10::DeviceIndex>(index)};
}

}  // namespace onestep
