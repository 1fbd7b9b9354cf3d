#include "request_part.hpp"

#include <numeric>

namespace onestep {
namespace {

/// Values of one draw of a sample's noise.
std::size_t noise_size(const Request& request, const ModelInfo& info) {
  std::map<std::string, std::int64_t> sizes = request.sizes;
  sizes.merge(default_sizes(info.sample));
  std::size_t size = 1;
  for (const std::int64_t side : shape_at(info.sample.sizes, sizes)) size *= static_cast<std::size_t>(side);
  return size;
}

}  // namespace

Request without_samples(const Request& request) {
  // A million seeds are not copied only to be dropped.
  Request rest;
  rest.sampler = request.sampler;
  rest.edit = request.edit;
  rest.guidance = request.guidance;
  rest.batch = request.batch;
  rest.force = request.force;
  rest.sizes = request.sizes;
  rest.conditions = request.conditions;
  rest.label_map = request.label_map;
  return rest;
}

Request part_of(const Request& request, const ModelInfo& info, std::span<const std::size_t> places) {
  Request part = without_samples(request);
  for (const std::size_t i : places) {
    part.seeds.push_back(request.seeds[i]);
    if (!request.labels.empty()) part.labels.push_back(request.labels[i % request.labels.size()]);
    if (!request.tokens.empty()) part.tokens.push_back(request.tokens[i % request.tokens.size()]);
  }
  if (request.noise.empty()) return part;
  // [draws, seeds, ...]
  const std::size_t size = noise_size(request, info);
  for (std::size_t draw = 0; draw < request.noise.size(); draw += request.seeds.size() * size) {
    for (const std::size_t i : places) {
      const float* noise = request.noise.data() + draw + i * size;
      part.noise.insert(part.noise.end(), noise, noise + size);
    }
  }
  return part;
}

std::vector<std::size_t> places_from(std::size_t first, std::size_t count) {
  std::vector<std::size_t> places(count);
  std::iota(places.begin(), places.end(), first);
  return places;
}

}  // namespace onestep
