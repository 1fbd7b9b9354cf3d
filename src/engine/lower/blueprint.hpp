#pragma once

#include <map>

#include "lower/draft.hpp"
#include "run/program.hpp"

namespace onestep::engine {

/// An image seen through a gather: what upsampling and padding make of it, before anything is copied.
struct Lens {
  Rows rows;      ///< That are seen.
  Gather gather;  ///< One tap a pixel.
  std::string description;
};

/// A value that depends on x.
struct Lowered {
  View view = {};   ///< Its place, unless there is a lens.
  float scale = 1;  ///< The value is scale * what is there.
  std::shared_ptr<const Lens> lens = {};
  std::optional<std::size_t> producer = {};  ///< The draft that may still take part in what its only user does.
};

/// Whether the operation puts images that depend on x side by side, channel after channel.
bool is_channel_concatenation(const Trace& trace, const Operation& operation);

/// A network on its way from a trace to a program: where its values lie, and the steps that compute them, of which some
/// can still take in what comes next.
class Blueprint {
 public:
  explicit Blueprint(const Trace& trace);

  const Trace& trace() const { return trace_; }
  const std::vector<std::int64_t>& sizes(ValueId value) const { return trace_.values[value].sizes; }
  Conditions& conditions() { return *program_.conditions; }
  Lowered& lowered(ValueId value) { return values_[value]; }

  // --- places

  View new_view(std::vector<std::int64_t> sizes, std::size_t channel);

  /// A place for a result: within a concatenation, if that is where it goes.
  View new_value(ValueId value, std::optional<std::size_t> channel = std::nullopt);

  /// The place of a part of a concatenation, from channel `first` of the whole on.
  View place_of_part(ValueId whole, std::int64_t first, ValueId part);

  // --- values, brought into the form that a step can read

  /// The value in a place of its own: no lens, no scale.
  View place(ValueId value);

  /// The value as rows of dimension `channel`.
  Rows rows_of(ValueId value, std::size_t channel);

  /// The same, but still to be multiplied with the value's scale.
  Rows unscaled_rows_of(ValueId value, std::size_t channel);

  /// Whether the value's place is rows of that dimension already.
  bool is_rows(ValueId value, std::size_t channel) const;

  /// A copy, times `scale`, that is rows of dimension `channel`.
  View copied(const View& from, std::size_t channel, float scale = 1);

  /// A constant, or a value of the conditions, as `arrange` arranges its numbers; in float32.
  Channels known_numbers(ValueId value, const std::function<torch::Tensor(const torch::Tensor&)>& arrange);

  /// A constant, or a value of the conditions, expanded to `sizes` and as rows of dimension `channel`.
  View place_of_known(ValueId value, std::vector<std::int64_t> sizes, std::size_t channel);

  // --- steps

  void push(std::unique_ptr<Step> step) { drafts_.emplace_back(std::move(step)); }
  void define(ValueId value, View view, std::unique_ptr<Step> step);
  void define(ValueId value, View view, Draft draft);

  /// Makes `result` what `value`, as rows of dimension `channel`, becomes within the draft that computes it, if there
  /// is one and it takes that in: take_in(draft) says whether it does.
  bool extend(ValueId value, ValueId result, std::size_t channel, const std::function<bool(Draft&)>& take_in);

  /// Whether `value` is complete when the draft that computes `other` is run.
  bool known_before(ValueId value, ValueId other) const;

  /// `result` is `value`, under another name or as another view: what could be done within the draft that computes it
  /// still can.
  void keep_producer(ValueId value, ValueId result);

  /// The program; the blueprint is used up. unit: products may be in bf16.
  Program finish(std::optional<kernels::bf16::Unit> unit, PackedWeights& packed_weights);

 private:
  std::size_t new_buffer(std::int64_t size);
  void find_concatenations();
  std::optional<View> place_in_concatenation(ValueId value);
  Draft* draft_of(ValueId value, std::size_t channel);
  void set_producer(ValueId value, std::size_t draft);

  const Trace& trace_;
  Program program_;
  std::vector<Lowered> values_;
  std::vector<Draft> drafts_;
  std::map<ValueId, std::pair<ValueId, std::int64_t>> part_of_;  // the concatenation, and the first channel in it
  std::map<ValueId, View> concatenations_;
};

}  // namespace onestep::engine
