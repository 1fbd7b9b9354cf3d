#include "refusal.hpp"

#include <new>

#include "compute.hpp"
#include "onestep/error.hpp"

namespace onestep {

nlohmann::ordered_json to_json(const Refusal& refusal) {
  nlohmann::ordered_json error{{"message", refusal.message}};
  if (!refusal.bound.empty()) error["bound"] = refusal.bound;
  return {{"error", std::move(error)}};
}

Refusal refusal_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Refusal& refusal) {
    return refusal;
  } catch (const QueueIsFull& full) {
    return {503, "more than " + std::to_string(full.most) + " samples wait; try again in a while", "queue", 2};
  } catch (const Error& failure) {
    switch (failure.kind()) {
      case ErrorKind::usage:
      case ErrorKind::file:
        return {422, failure.what()};
      case ErrorKind::memory:
        return {503, failure.what(), "memory", 5};
      case ErrorKind::model:
      case ErrorKind::numerical:
        break;
    }
    return {500, failure.what()};
  } catch (const std::bad_alloc&) {
    return {503, "out of memory; ask for fewer samples at once", "memory", 5};
  } catch (const std::exception& failure) {
    return {500, std::string("a fault of onestep's own: ") + failure.what()};
  } catch (...) {
    return {500, "a fault of onestep's own"};
  }
}

}  // namespace onestep
