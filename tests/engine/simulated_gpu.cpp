#include "simulated_gpu.hpp"

#include <ATen/EmptyTensor.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/GraphImplInterface.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/Resize.h>
#include <ATen/native/TensorFactories.h>
#include <ATen/ops/_convolution_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_cpu_dispatch.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <malloc.h>
#include <torch/library.h>

#include <cstdlib>
#include <deque>
#include <functional>
#include <set>

#include "gpu_under_test.hpp"

namespace onestep::simulated_gpu {
namespace {

using at::Tensor;
using torch::jit::Stack;

Counts counted;
bool captures_fail = false;

/// The work that is being captured.
std::vector<std::function<void()>>* captured = nullptr;

void require_no_capture(const char* what) {
  TORCH_CHECK(!captured, what, " is not permitted when a stream is capturing");
}

/// Copies to the host that have not arrived.
std::deque<std::function<void()>> on_their_way;
std::size_t arrived = 0;

void wait_until(std::size_t count) {
  ++counted.waits;
  for (; arrived < count && !on_their_way.empty(); ++arrived) {
    on_their_way.front()();
    on_their_way.pop_front();
  }
}
void wait() { wait_until(arrived + on_their_way.size()); }

// --- memory

std::size_t memory_in_use = 0, memory_limit = no_limit;

struct Memory : c10::DeviceAllocator {
  static constexpr std::size_t head = 64;  // bytes, which hold how many follow
  static void release(void* block) {
    memory_in_use -= *static_cast<std::size_t*>(block);
    std::free(block);
  }
  c10::DataPtr allocate(std::size_t bytes) override {
    TORCH_CHECK_WITH(OutOfMemoryError, memory_in_use + bytes <= memory_limit, "no memory is left");
    void* block = std::aligned_alloc(head, head + (bytes + head - 1) / head * head);
    *static_cast<std::size_t*>(block) = bytes;
    memory_in_use += bytes;
    counted.most_in_use = std::max(counted.most_in_use, memory_in_use);
    return {static_cast<std::byte*>(block) + head, block, &release, device};
  }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }

  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override { require_no_capture("giving memory back"); }
  void recordStream(const c10::DataPtr&, c10::Stream) override {}
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex) override { return {}; }
  void resetAccumulatedStats(c10::DeviceIndex) override {}
  void resetPeakStats(c10::DeviceIndex) override {}
} memory;
REGISTER_ALLOCATOR(c10::kPrivateUse1, &memory);

std::set<const void*> pinned;

struct PinnedMemory : c10::Allocator {
  static void release(void* memory) {
    pinned.erase(memory);
    std::free(memory);
  }
  c10::DataPtr allocate(std::size_t bytes) override {
    void* memory = std::aligned_alloc(64, (bytes + 64) / 64 * 64);
    pinned.insert(memory);
    return {memory, memory, &release, torch::kCPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
} pinned_memory;

bool is_pinned(const Tensor& tensor) { return pinned.contains(tensor.storage().data()); }

Tensor on_cpu(const Tensor& tensor) {
  if (!tensor.defined() || tensor.is_cpu()) return tensor;
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), tensor.options().device(at::kCPU));
}

// --- streams and events

thread_local c10::StreamId stream = 0;

c10::Stream stream_of(c10::StreamId id) { return c10::Stream(c10::Stream::UNSAFE, device, id); }

struct Guard : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::kPrivateUse1; }
  c10::Device exchangeDevice(c10::Device) const override { return device; }
  c10::Device getDevice() const override { return device; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  c10::Stream getStream(c10::Device) const override { return stream_of(stream); }
  c10::Stream getDefaultStream(c10::Device) const override { return stream_of(0); }
  c10::Stream getStreamFromGlobalPool(c10::Device, bool) const override { return stream_of(1); }
  c10::Stream exchangeStream(c10::Stream to) const override { return stream_of(std::exchange(stream, to.id())); }
  void record(void** event, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {
    if (!*event) *event = new std::size_t;
    *static_cast<std::size_t*>(*event) = arrived + on_their_way.size();
  }
  void block(void*, const c10::Stream&) const override {}  // what is computed is computed at once
  bool queryEvent(void* event) const override { return *static_cast<std::size_t*>(event) <= arrived; }
  void synchronizeEvent(void* event) const override { wait_until(*static_cast<std::size_t*>(event)); }
  void destroyEvent(void* event, c10::DeviceIndex) const noexcept override { delete static_cast<std::size_t*>(event); }
  void synchronizeDevice(c10::DeviceIndex) const override { wait(); }
  void synchronizeStream(const c10::Stream&) const override { wait(); }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

struct Hooks : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  bool isPinnedPtr(const void* data) const override { return pinned.contains(data); }
  c10::Allocator* getPinnedMemoryAllocator() const override { return &pinned_memory; }
  void resizePrivateUse1Bytes(const c10::Storage& storage, std::size_t bytes) const override {
    auto* resized = storage.unsafeGetStorageImpl();
    resized->set_data_ptr_noswap(memory.allocate(bytes));
    resized->set_nbytes(bytes);
  }
} hooks;

// --- graphs

/// Does the work, or only notes it. What it writes has no values until a replay.
void launch(std::function<void()> work, const std::vector<Tensor>& written) {
  if (!captured) {
    ++counted.operators;
    work();
    return;
  }
  captured->push_back(std::move(work));
  for (const Tensor& tensor : written) {
    if (tensor.is_floating_point()) on_cpu(tensor).fill_(std::numeric_limits<double>::quiet_NaN());
  }
}

struct Graph : at::GraphImplInterface {
  explicit Graph(const at::GraphImplArgs&) {}
  void capture_begin(at::MempoolId_t, at::GraphCaptureMode) override {
    TORCH_CHECK(stream != 0, "graphs must be captured on a stream that is not the default one");
    TORCH_CHECK(work_.empty(), "a graph is captured once");
    ++counted.captures;
    captured = &work_;
  }
  void capture_end() override {
    TORCH_CHECK(captured == &work_, "no capture to end");
    captured = nullptr;
    TORCH_CHECK(!captures_fail, "the capture is invalid");
    is_whole_ = true;
  }
  void replay() override {
    TORCH_CHECK(is_whole_, "nothing was captured");
    ++counted.replays;
    for (const auto& work : work_) work();
  }
  void instantiate() override {}
  void reset() override { work_.clear(); }
  at::MempoolId_t pool() const override { return {1, 0}; }
  void enable_debug_mode() override {}
  void debug_dump(const std::string&) override {}

 private:
  std::vector<std::function<void()>> work_;
  bool is_whole_ = false;
};

// --- operators

Tensor empty(c10::IntArrayRef sizes, std::optional<c10::ScalarType> type, std::optional<c10::Layout>,
             std::optional<c10::Device>, std::optional<bool>, std::optional<c10::MemoryFormat> format) {
  return at::detail::empty_generic(sizes, &memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(type), format);
}

Tensor empty_strided(c10::IntArrayRef sizes, c10::IntArrayRef strides, std::optional<c10::ScalarType> type,
                     std::optional<c10::Layout>, std::optional<c10::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(sizes, strides, &memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           c10::dtype_or_default(type));
}

Tensor as_strided(const Tensor& self, c10::SymIntArrayRef sizes, c10::SymIntArrayRef strides,
                  std::optional<c10::SymInt> offset) {
  return at::cpu::as_strided_symint(self, sizes, strides, offset);
}

const Tensor& resize(const Tensor& self, c10::SymIntArrayRef sizes, std::optional<c10::MemoryFormat> format) {
  return at::native::resize_(self, C10_AS_INTARRAYREF_SLOW(sizes), format);
}

Tensor view(const Tensor& self, c10::SymIntArrayRef sizes) {
  return at::native::view(self, C10_AS_INTARRAYREF_SLOW(sizes));
}

Tensor reshape_alias(const Tensor& self, c10::SymIntArrayRef sizes, c10::SymIntArrayRef strides) {
  return at::native::_reshape_alias(self, C10_AS_INTARRAYREF_SLOW(sizes), C10_AS_INTARRAYREF_SLOW(strides));
}

Tensor copy_from(const Tensor& from, const Tensor& to, bool non_blocking) {
  const bool to_device = from.is_cpu(), to_host = to.is_cpu();
  const auto copy = [](const Tensor& source, const Tensor& target) { on_cpu(target).copy_(on_cpu(source)); };
  if (!to_device && !to_host) {
    launch([=] { copy(from, to); }, {to});
    return to;
  }
  require_no_capture("a copy between host and device");
  const bool waits = !non_blocking || !is_pinned(to_device ? from : to);
  if (waits) wait();
  if (to_device || waits) {
    copy(from, to);
  } else {
    on_their_way.push_back([snapshot = on_cpu(from).clone(), to] {
      const c10::InferenceMode guard;
      to.copy_(snapshot);
    });
  }
  return to;
}

at::Scalar value_of(const Tensor& self) {
  require_no_capture("reading a value");
  wait();
  return on_cpu(self).item();
}

/// The tensors of a value, each replaced.
c10::IValue mapped(const c10::IValue& value, const std::function<Tensor(const Tensor&)>& map) {
  if (value.isTensor()) return map(value.toTensor());
  if (value.isTensorList()) {
    c10::List<Tensor> list;
    for (const Tensor& tensor : value.toTensorVector()) list.push_back(map(tensor));
    return list;
  }
  if (value.isList() && !value.toListRef().empty()) {
    c10::impl::GenericList list(value.toList().elementType());
    for (const c10::IValue& part : value.toListRef()) list.push_back(mapped(part, map));
    return list;
  }
  return value;
}

Tensor convolution(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias, c10::SymIntArrayRef stride,
                   c10::SymIntArrayRef padding, c10::SymIntArrayRef dilation, bool transposed,
                   c10::SymIntArrayRef output_padding, c10::SymInt groups, bool benchmark, bool deterministic,
                   bool cudnn_enabled, bool allow_tf32) {
  counted.convolutions_in_tf32 += allow_tf32 && x.scalar_type() == torch::kFloat32;
  return at::compositeexplicitautograd::_convolution_symint(x, weight, bias, stride, padding, dilation, transposed,
                                                            output_padding, groups, benchmark, deterministic,
                                                            cudnn_enabled, allow_tf32);
}

/// Every other operator is the CPU's, on the same memory.
void run_on_cpu(const c10::OperatorHandle& called, Stack* stack) {
  // The one that has another name for others' hardware.
  const bool convolves = called.schema().name() == "aten::convolution_overrideable";
  const c10::OperatorHandle op =
      convolves ? c10::Dispatcher::singleton().findSchemaOrThrow("aten::convolution", "") : called;
  const auto& schema = op.schema();
  const std::size_t taken = schema.arguments().size();
  const Stack arguments(stack->end() - static_cast<std::ptrdiff_t>(taken), stack->end());
  stack->resize(stack->size() - taken);
  const auto is_written = [&schema](std::size_t i) {
    const auto* alias = schema.arguments()[i].alias_info();
    return alias && alias->isWrite();
  };
  const auto compute = [op, arguments, is_written] {
    Stack own;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      own.push_back(mapped(arguments[i], [&](const Tensor& tensor) {
        return is_written(i) ? on_cpu(tensor).clone() : on_cpu(tensor);  // which can be made larger
      }));
    }
    op.callBoxed(own);
    return own;
  };
  // What it makes, once for its sizes.
  const Stack made = compute();
  Stack results;
  std::vector<Tensor> written;
  for (std::size_t i = 0; i < made.size(); ++i) {
    const auto* alias = schema.returns()[i].alias_info();
    if (alias && alias->isWrite()) {  // into an argument
      std::size_t at = 0;
      while (!(is_written(at) && *schema.arguments()[at].alias_info() == *alias)) ++at;
      const Tensor target = arguments[at].toTensor(), value = made[i].toTensor();
      if (target.sizes() != value.sizes()) target.resize_(value.sizes());
      if (!captured) on_cpu(target).copy_(value);
      written.push_back(target);
      results.emplace_back(target);
      continue;
    }
    results.push_back(mapped(made[i], [&](const Tensor& tensor) {
      if (!tensor.defined()) return tensor;
      Tensor result = empty_strided(tensor.sizes(), tensor.strides(), tensor.scalar_type(), {}, {}, {});
      on_cpu(result).copy_(tensor);
      written.push_back(result);
      return result;
    }));
  }
  if (!captured) {
    ++counted.operators;
  } else {
    launch(
        [compute, results] {
          const Stack again = compute();
          for (std::size_t i = 0; i < again.size(); ++i) {
            if (again[i].isTensor() && again[i].toTensor().defined()) {
              on_cpu(results[i].toTensor()).copy_(again[i].toTensor());
            } else if (again[i].isTensorList()) {
              const auto from = again[i].toTensorVector(), to = results[i].toTensorVector();
              for (std::size_t k = 0; k < from.size(); ++k) on_cpu(to[k]).copy_(from[k]);
            }
          }
        },
        written);
  }
  stack->insert(stack->end(), results.begin(), results.end());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", empty);
  library.impl("empty_strided", empty_strided);
  library.impl("as_strided", as_strided);
  library.impl("resize_", resize);
  library.impl("view", view);
  library.impl("_reshape_alias", reshape_alias);
  library.impl("_copy_from", copy_from);
  library.impl("_local_scalar_dense", value_of);
  library.impl("_convolution", convolution);
  library.impl("native_group_norm", torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
  library.impl("convolution_overrideable", torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
}
TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
}

TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, library) { library.fallback(torch::CppFunction::makeFallthrough()); }
// As autocast has them for CUDA.
TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
#define LOWER(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, lower_precision_fp)
#define EXACT(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32)
  AT_FORALL_LOWER_PRECISION_FP(LOWER)
  AT_FORALL_FP32(EXACT)
#undef LOWER
#undef EXACT
}

const bool is_registered = [] {
  c10::register_privateuse1_backend("simulated_gpu");
  at::RegisterPrivateUse1HooksInterface(&hooks);
  return true;
}();

}  // namespace

Counts counts() { return counted; }
void reset() {
  counted = {};
  counted.most_in_use = memory_in_use;
}
void limit_memory(std::size_t bytes) { memory_limit = bytes; }
void refuse_captures(bool refuse) { captures_fail = refuse; }

}  // namespace onestep::simulated_gpu

const torch::Device onestep::gpu_under_test = onestep::simulated_gpu::device;

namespace at {
using SimulatedGraph = onestep::simulated_gpu::Graph;
REGISTER_GRAPH_IMPL(SIMULATED_GPU, SimulatedGraph)
}  // namespace at
