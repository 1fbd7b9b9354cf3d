#include "device.hpp"
#include "model_file.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/model.hpp"
#include "precision.hpp"
#include "shipped_models.hpp"
#include "torchscript_network.hpp"

namespace onestep {
namespace {

using torch::Tensor;

std::vector<Size> rows_of(const std::vector<Size>& sizes) {
  std::vector<Size> shape{{1, "N"}};
  shape.insert(shape.end(), sizes.begin(), sizes.end());
  return shape;
}

Signature decoder_signature(const ModelInfo& info) {
  Signature signature;
  signature.inputs.push_back({"sample", ElementType::float32, rows_of(info.sample.sizes)});
  signature.output = {"output", ElementType::float32, rows_of(info.data.sizes)};
  signature.multiples = info.sample.multiples;
  return signature;
}

Signature text_encoder_signature(const ConditionInfo& text) {
  const std::vector<Size> length = rows_of({text.sizes[0]});
  Signature signature;
  signature.inputs.push_back({"tokens", ElementType::int64, length});
  if (text.mask) signature.inputs.push_back({"mask", ElementType::boolean, length});
  signature.output = {"output", ElementType::float32, rows_of(text.sizes)};
  return signature;
}

/// Two samples that differ, so that one that leaks into the other shows.
NetworkInput decoder_trial(const ModelInfo& info, torch::Device device) {
  std::vector<std::int64_t> shape = info.sample.shape;
  shape.insert(shape.begin(), 2);
  return {torch::linspace(-1, 1, c10::multiply_integers(shape), device).reshape(shape), {}};
}

NetworkInput text_encoder_trial(const ConditionInfo& text, torch::Device device) {
  const std::int64_t length = text.sizes[0].number;
  Tensor tokens = torch::zeros({2, length}, torch::kInt64);
  if (text.null_tokens.empty())
    tokens[1] = 1;
  else
    tokens[1] = torch::tensor(text.null_tokens);
  NetworkInput input{tokens.to(device), {}};
  if (text.mask) input.conditions.push_back(torch::ones({2, length}, torch::kBool));
  return input;
}

}  // namespace

Model load_model(const std::string& model, const LoadOptions& options) {
  const torch::Device device = find_device(options.device);
  const std::string file = find_model(model);
  const ModelInfo info = read_model_info(file);
  const ComparePrecisions compare = [&](Network& exact, Network& reduced) {
    return compare_precisions(info, device, exact, reduced);
  };
  LoadedNetwork denoiser = load_torchscript(component_file(file, info, "denoiser"), info,
                                            {device, options.compile, options.precision, compare});
  Model loaded{file, info, device, std::move(denoiser.network), nullptr, nullptr, std::move(denoiser.precision)};
  if (info.components.contains("decoder")) {
    loaded.decoder = load_component(component_file(file, info, "decoder"), decoder_signature(info),
                                    decoder_trial(info, device), {device, options.compile})
                         .network;
  }
  if (const ConditionInfo* text = find_condition(info, ConditionKind::tokens)) {
    // What the engine compiles takes float32.
    loaded.text_encoder = load_component(component_file(file, info, "text_encoder"), text_encoder_signature(*text),
                                         text_encoder_trial(*text, device), {device, false})
                              .network;
  }
  return loaded;
}

}  // namespace onestep
