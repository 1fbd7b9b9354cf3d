#include "run/conditions.hpp"

#include "kernels/kernels.hpp"

namespace onestep::engine {

using torch::Tensor;

namespace {

/// The levels of a long schedule with a few labels. A record is about the size of all scales and shifts of the network.
constexpr std::size_t most_records = 1024;

}  // namespace

Conditions::Conditions(const Trace& trace) : values_(trace.values.size()) {
  inputs_.assign(trace.inputs.begin() + 1, trace.inputs.end());
  for (const Operation& operation : trace.operations) {
    if (trace.values[operation.results[0]].source != Source::condition) continue;
    operations_.push_back(operation);
    for (const ValueId value : tensors_of(operation)) {
      if (trace.values[value].source == Source::constant) constants_[value] = trace.values[value].constant;
    }
  }
}

Conditions::Slot Conditions::add(Compute compute) {
  added_.push_back(std::move(compute));
  return values_ + added_.size() - 1;
}

std::int64_t Conditions::keep(Slot slot, std::int64_t size) {
  for (const auto& [kept, place] : kept_) {
    if (kept == slot) return place;
  }
  const std::int64_t place = size_;
  kept_.emplace_back(slot, place);
  size_ += size;
  return place;
}

Conditions::Record Conditions::compute(const std::vector<Tensor>& inputs) const {
  const torch::InferenceMode guard;
  Slots slots = constants_;
  for (std::size_t i = 0; i < inputs.size(); ++i) slots[inputs_[i]] = inputs[i];
  for (const Operation& operation : operations_) {
    const std::vector<Tensor> results = call(operation, [&](ValueId value) { return slots.at(value); });
    for (std::size_t i = 0; i < results.size(); ++i) slots[operation.results[i]] = results[i];
  }
  for (std::size_t i = 0; i < added_.size(); ++i) slots[values_ + i] = added_[i](slots);

  std::vector<float> record(static_cast<std::size_t>(size_ + kernels::overread));
  for (const auto& [slot, place] : kept_) {
    const Tensor value = slots.at(slot).to(torch::kFloat32).contiguous();
    std::copy_n(value.const_data_ptr<float>(), value.numel(), record.begin() + place);
  }
  return std::make_shared<const std::vector<float>>(std::move(record));
}

std::vector<Conditions::Record> Conditions::records(const NetworkInput& input) const {
  std::vector<Tensor> inputs = input.conditions;
  for (Tensor& given : inputs) given = given.contiguous();
  std::vector<Record> records;
  for (std::int64_t row = 0; row < input.x.size(0); ++row) {
    std::string key;
    for (const Tensor& given : inputs) {
      const std::size_t bytes = given.nbytes() / static_cast<std::size_t>(given.size(0));
      key.append(static_cast<const char*>(given.const_data_ptr()) + static_cast<std::size_t>(row) * bytes, bytes);
    }
    Record record;
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = cache_.find(key); found != cache_.end()) record = found->second;
    }
    if (!record) {
      std::vector<Tensor> one;
      for (const Tensor& given : inputs) one.push_back(given.narrow(0, row, 1));
      record = compute(one);
      const std::lock_guard lock(mutex_);
      const std::size_t bytes = 2 * key.size() + record->size() * sizeof(float);  // a key may have as much to spare
      if (cache_.size() >= most_records || cached_bytes_ + bytes > most_bytes_) {
        cache_.clear();
        cached_bytes_ = 0;
      }
      if (bytes <= most_bytes_ && cache_.emplace(std::move(key), record).second) cached_bytes_ += bytes;
    }
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace onestep::engine
