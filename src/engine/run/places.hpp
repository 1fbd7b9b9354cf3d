#pragma once

#include <optional>

#include "run/step.hpp"

namespace onestep::engine {

std::int64_t element_count(const std::vector<std::int64_t>& sizes);

/// The dimension of channels where nothing else says so.
std::size_t usual_channel(std::size_t rank);

/// The dimension of stride 1, if there is one of more than one number.
std::optional<std::size_t> closest_dimension(const View& view);

/// The strides of a dense array whose last dimension is the closest.
std::vector<std::int64_t> c_order(const std::vector<std::int64_t>& sizes);

/// Rows as a view of these sizes, dimension `channel` being the channels.
View laid_out(const Rows& rows, std::vector<std::int64_t> sizes, std::size_t channel);

/// Rows of a view whose channels are dimension `channel`, if its other dimensions are evenly spaced.
std::optional<Rows> as_rows(const View& view, std::size_t channel);

bool same_place(const Rows& a, const Rows& b);

}  // namespace onestep::engine
