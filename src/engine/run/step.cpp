#include "run/step.hpp"

#include <algorithm>

#include "run/scratch.hpp"
#include "run/team.hpp"

namespace onestep::engine {
namespace {

/// A stage a pass; a part is some items, as many as are worth handing to another thread.
class Passes : public Work {
 public:
  Passes(std::span<const std::unique_ptr<Step>> steps, const Run& run) : run_(run) {
    for (const auto& step : steps) {
      for (std::int64_t pass = 0; pass < step->passes(); ++pass) passes_.push_back({step.get(), pass});
      scratch_bytes_ = std::max(scratch_bytes_, step->scratch_bytes());
    }
  }

  std::int64_t stages() const override { return static_cast<std::int64_t>(passes_.size()); }

  std::int64_t parts(std::int64_t stage) const override {
    constexpr double worthwhile = 120'000;  // multiplications: some microseconds
    constexpr std::int64_t enough = 16;     // parts a thread: the last of them is waited for
    const auto& [step, pass] = passes_[static_cast<std::size_t>(stage)];
    const auto wanted = static_cast<std::int64_t>(
        std::clamp(step->cost(run_, pass) / worthwhile, 1.0, static_cast<double>(enough * run_.cut_for)));
    // As many for each thread that takes part.
    const std::int64_t taking_part = std::min(wanted, run_.cut_for);
    return std::clamp<std::int64_t>(divide_up(wanted, taking_part) * taking_part, 1,
                                    std::max<std::int64_t>(step->items(run_, pass), 1));
  }

  void compute(std::int64_t stage, std::int64_t part, std::byte* scratch) const override {
    const auto& [step, pass] = passes_[static_cast<std::size_t>(stage)];
    const std::int64_t items = step->items(run_, pass), parts = this->parts(stage);
    for (std::int64_t item = part * items / parts; item < (part + 1) * items / parts; ++item)
      step->do_item(run_, pass, item, scratch);
  }

  std::int64_t scratch_bytes() const override { return scratch_bytes_; }

 private:
  struct Pass {
    const Step* step;
    std::int64_t pass;
  };

  const Run& run_;
  std::vector<Pass> passes_;
  std::int64_t scratch_bytes_ = 0;
};

}  // namespace

void run_steps(std::span<const std::unique_ptr<Step>> steps, const Run& run) {
  do_together(Passes(steps, run), run.threads);
}

}  // namespace onestep::engine
