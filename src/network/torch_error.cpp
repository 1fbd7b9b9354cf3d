#include "torch_error.hpp"

#include <c10/util/Exception.h>

#include <new>

#include "interruption.hpp"

namespace onestep {

std::string in_one_line(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string text = torch_error ? torch_error->what_without_backtrace() : error.what();
  if (!text.starts_with("The following operation failed in the TorchScript interpreter"))
    return text.substr(0, text.find('\n'));
  const std::size_t end = text.find_last_not_of('\n') + 1, before = text.rfind('\n', end - 1);
  const std::size_t line = before == std::string::npos ? 0 : before + 1;
  return text.substr(line, end - line);
}

namespace {

[[noreturn]] void throw_out_of_memory(const std::string& name, const std::string& found) {
  throw Error(ErrorKind::memory, name + ": out of memory; use a smaller batch, or a sink in place of a result" +
                                     (found.empty() ? "" : ": " + found));
}

/// The CPU's allocator has no exception of its own, and the interpreter throws its own in place of any.
bool is_out_of_memory(const std::exception& error) {
  return dynamic_cast<const c10::OutOfMemoryError*>(&error) ||
         std::string(error.what()).find("can't allocate memory") != std::string::npos;
}

}  // namespace

void throw_translated(const std::string& name) {
  try {
    throw;
  } catch (const Error&) {
    throw;
  } catch (const Interruption&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw_out_of_memory(name, "");
  } catch (const std::exception& error) {
    if (is_out_of_memory(error)) throw_out_of_memory(name, in_one_line(error));
    throw Error(ErrorKind::model, name + ": the network failed: " + in_one_line(error));
  } catch (...) {
    throw Error(ErrorKind::model, name + ": the network failed: it threw what is no std::exception");
  }
}

}  // namespace onestep
