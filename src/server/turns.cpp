#include "turns.hpp"

#include "connection.hpp"

namespace onestep {

void Turns::take(const std::function<bool(const OnProgress&, std::stop_token)>& work) {
  Watch watch(seconds_);
  auto looked = std::chrono::steady_clock::now();
  std::stop_source stop;
  const auto look = [&] {
    const auto now = std::chrono::steady_clock::now();
    if (now - looked < patience) return;
    looked = now;
    if (!watch.go_on()) stop.request_stop();
  };
  bool my_turn = false, done = false;
  while (!(my_turn = free_.try_acquire_for(patience)) && !stop.stop_requested()) look();
  if (my_turn) {
    const struct Release {
      std::counting_semaphore<>& semaphore;
      ~Release() { semaphore.release(); }
    } release{free_};
    done = work([&](const Progress&) { look(); }, stop.get_token());
  }
  watch.require_in_time();
  if (!done) throw Refusal{503, "the client is gone"};
}

}  // namespace onestep
