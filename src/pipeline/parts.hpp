#pragma once

#include <torch/csrc/jit/runtime/jit_exception.h>

#include <string>

#include "onestep/generator.hpp"
#include "onestep/tensor/model.hpp"
#include "torch_error.hpp"

namespace onestep {

/// A loaded model, out of sight of the public header, which knows no torch.
struct Generator::Parts : Model {};

/// The result of work(), every exception of libtorch turned into Error: none leaves the library.
template <typename Work>
auto translated(const std::string& model, Work work) {
  try {
    return work();
  } catch (const c10::OutOfMemoryError& error) {
    throw Error(ErrorKind::usage, model + ": out of memory; use a smaller batch: " + in_one_line(error));
  } catch (const c10::Error& error) {
    throw Error(ErrorKind::model, model + ": the network failed: " + in_one_line(error));
  } catch (const torch::jit::JITException& error) {  // an exception that the network's own code raises
    throw Error(ErrorKind::model, model + ": the network failed: " + in_one_line(error));
  } catch (const std::bad_alloc&) {
    throw Error(ErrorKind::usage, model + ": out of memory; use a smaller batch, or a sink in place of a result");
  }
}

}  // namespace onestep
