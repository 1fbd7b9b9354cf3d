#include "lower/blueprint.hpp"

#include "run/memory.hpp"
#include "run/places.hpp"
#include "run/team.hpp"
#include "threads.hpp"
#include "trace/arguments.hpp"

namespace onestep::engine {

bool is_channel_concatenation(const Trace& trace, const Operation& operation) {
  if (operation.name != "aten::cat" || trace.values[operation.results[0]].source != Source::sample) return false;
  const auto* parts = std::get_if<std::vector<ValueId>>(&operation.arguments[0]);
  const auto& sizes = trace.values[operation.results[0]].sizes;
  if (!parts || sizes.size() < 3 || dimension_at(operation, 1, sizes.size()) != 1) return false;
  return std::all_of(parts->begin(), parts->end(), [&](ValueId part) {
    return trace.values[part].source == Source::sample && trace.values[part].sizes.size() == sizes.size();
  });
}

Blueprint::Blueprint(const Trace& trace) : trace_(trace), values_(trace.values.size()) {
  program_.conditions = std::make_unique<Conditions>(trace);
  find_concatenations();
}

void Blueprint::find_concatenations() {
  for (const Operation& operation : trace_.operations) {
    if (!is_channel_concatenation(trace_, operation)) continue;
    std::int64_t first = 0;
    for (const ValueId part : std::get<std::vector<ValueId>>(operation.arguments[0])) {
      part_of_.try_emplace(part, operation.results[0], first);
      first += sizes(part)[1];
    }
  }
}

// --- places

std::size_t Blueprint::new_buffer(std::int64_t size) {
  program_.buffers.push_back({size, 0});
  return program_.buffers.size() - 1;
}

View Blueprint::new_view(std::vector<std::int64_t> sizes, std::size_t channel) {
  const std::int64_t size = element_count(sizes);
  const std::size_t buffer = new_buffer(size);
  if (sizes.empty()) return {buffer, 0, {}, {}};
  const std::int64_t channels = sizes[channel];
  const Rows rows{buffer, 0, channels > 0 ? size / channels : 0, channels, channels};
  return laid_out(rows, std::move(sizes), channel);
}

View Blueprint::new_value(ValueId value, std::optional<std::size_t> channel) {
  const std::size_t c = channel.value_or(usual_channel(sizes(value).size()));
  if (const auto placed = place_in_concatenation(value); placed && c == 1) return *placed;
  return new_view(sizes(value), c);
}

std::optional<View> Blueprint::place_in_concatenation(ValueId value) {
  const auto part = part_of_.find(value);
  if (part == part_of_.end()) return std::nullopt;
  const auto [whole, first] = part->second;
  return place_of_part(whole, first, value);
}

View Blueprint::place_of_part(ValueId whole, std::int64_t first, ValueId part) {
  // The first part that is made in its place makes the whole.
  auto made = concatenations_.find(whole);
  if (made == concatenations_.end()) made = concatenations_.emplace(whole, new_value(whole, 1)).first;
  View view = made->second;
  view.offset += first;
  view.sizes = sizes(part);
  return view;
}

// --- values, brought into the form that a step can read

View Blueprint::place(ValueId value) {
  Lowered& lowered = values_[value];
  lowered.producer.reset();
  if (lowered.lens) {
    const View view = new_value(value, 1);
    push(depthwise_step(
        {lowered.lens->rows, *as_rows(view, 1), lowered.lens->gather, Depthwise::tap, {}, lowered.lens->description}));
    lowered.view = view;
    lowered.lens = nullptr;
  }
  if (lowered.scale != 1) {
    lowered.view = copied(lowered.view, usual_channel(lowered.view.sizes.size()), lowered.scale);
    lowered.scale = 1;
  }
  return lowered.view;
}

Rows Blueprint::rows_of(ValueId value, std::size_t channel) {
  const View view = place(value);
  if (const auto rows = as_rows(view, channel)) return *rows;
  values_[value].view = copied(view, channel);
  return *as_rows(values_[value].view, channel);
}

Rows Blueprint::unscaled_rows_of(ValueId value, std::size_t channel) {
  const float scale = std::exchange(values_[value].scale, 1.0f);
  const Rows rows = rows_of(value, channel);
  values_[value].scale = scale;
  return rows;
}

bool Blueprint::is_rows(ValueId value, std::size_t channel) const {
  return !values_[value].lens && as_rows(values_[value].view, channel).has_value();
}

View Blueprint::copied(const View& from, std::size_t channel, float scale) {
  View to = new_view(from.sizes, channel);
  push(copy_step({from, to, scale}));
  return to;
}

Channels Blueprint::known_numbers(ValueId value, const std::function<torch::Tensor(const torch::Tensor&)>& arrange) {
  const Value& known = trace_.values[value];
  if (known.source == Source::constant) return {arrange(known.constant.to(torch::kFloat32)).contiguous()};
  return {{}, conditions().add([=](const auto& slots) { return arrange(slots.at(value).to(torch::kFloat32)); })};
}

View Blueprint::place_of_known(ValueId value, std::vector<std::int64_t> sizes, std::size_t channel) {
  const std::int64_t count = element_count(sizes);
  const View to = new_view(std::move(sizes), channel);
  const Channels numbers = known_numbers(value, [sizes = to.sizes, channel](const torch::Tensor& all) {
    return all.expand(sizes).movedim(static_cast<std::int64_t>(channel), -1).flatten();
  });
  push(known_step(to, as_row(numbers, count, conditions())));
  return to;
}

// --- steps

void Blueprint::define(ValueId value, View view, std::unique_ptr<Step> step) {
  push(std::move(step));
  values_[value] = Lowered{std::move(view)};
}

void Blueprint::define(ValueId value, View view, Draft draft) {
  drafts_.push_back(std::move(draft));
  values_[value] = Lowered{std::move(view)};
  set_producer(value, drafts_.size() - 1);
}

void Blueprint::set_producer(ValueId value, std::size_t draft) {
  if (trace_.values[value].uses == 1)
    values_[value].producer = draft;
  else
    values_[value].producer.reset();
}

void Blueprint::keep_producer(ValueId value, ValueId result) {
  const auto producer = values_[value].producer;
  if (producer && trace_.values[value].uses == 1)
    set_producer(result, *producer);
  else
    values_[result].producer.reset();
}

Draft* Blueprint::draft_of(ValueId value, std::size_t channel) {
  const Lowered& lowered = values_[value];
  if (!lowered.producer || trace_.values[value].uses != 1 || lowered.lens || lowered.scale != 1) return nullptr;
  Draft* draft = &drafts_[*lowered.producer];
  const auto rows = as_rows(lowered.view, channel);
  return rows && same_place(*rows, output_of(*draft)) ? draft : nullptr;
}

bool Blueprint::extend(ValueId value, ValueId result, std::size_t channel, const std::function<bool(Draft&)>& take_in) {
  Draft* draft = draft_of(value, channel);
  if (!draft || !take_in(*draft)) return false;
  values_[result] = values_[value];
  values_[result].view.sizes = sizes(result);
  if (channel == 1) {
    if (const auto placed = place_in_concatenation(result)) {
      output_of(*draft) = *as_rows(*placed, 1);
      values_[result].view = *placed;
    }
  }
  keep_producer(value, result);
  return true;
}

bool Blueprint::known_before(ValueId value, ValueId other) const {
  const std::size_t buffer = values_[value].view.buffer;
  for (std::size_t i = *values_[other].producer + 1; i < drafts_.size(); ++i) {
    for (const std::size_t written : written_by(drafts_[i])) {
      if (written == buffer) return false;
    }
  }
  return true;
}

Program Blueprint::finish(std::optional<kernels::bf16::Unit> unit, PackedWeights& packed_weights) {
  for (Draft& draft : drafts_) close(draft, conditions());
  // The weights are brought into the kernels' order, which takes longest of all.
  program_.steps.resize(drafts_.size());
  do_each(static_cast<std::int64_t>(drafts_.size()), threads(), [&](std::int64_t i) {
    const torch::InferenceMode guard;
    const LibtorchThreads alone(1);
    const auto at = static_cast<std::size_t>(i);
    program_.steps[at] = made_of(std::move(drafts_[at]), unit, packed_weights);
  });
  program_.output_sizes = sizes(trace_.result);
  program_.workspace = plan_memory(program_.steps, program_.buffers);
  for (const auto& step : program_.steps) {
    program_.shared_bytes = std::max(program_.shared_bytes, step->shared_bytes());
  }
  return std::move(program_);
}

}  // namespace onestep::engine
