// Wrong calls of the public API: each throws an Error that names what is wrong, or does what it is asked. Whatever else
// it does, another exception, a crash, a read beyond what was given (the preset `sanitize` sees it), is a fault.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <torch/types.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <regex>

#include "onestep/generator.hpp"
#include "onestep/interpolate.hpp"
#include "onestep/save.hpp"
#include "onestep/tensor/consistency.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/diffusion.hpp"
#include "onestep/tensor/editing.hpp"
#include "onestep/tensor/flow_map.hpp"
#include "onestep/tensor/model.hpp"
#include "onestep/tensor/noise.hpp"
#include "onestep/tune.hpp"

namespace onestep {
namespace {

namespace fs = std::filesystem;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                       most = std::numeric_limits<std::int64_t>::max();
constexpr int least_int = std::numeric_limits<int>::min(), most_int = std::numeric_limits<int>::max();

const std::vector<double> numbers{-infinity, -1e308, -1, -0.0, 0, 1e-320, 1e-3, 1, 80, 1e308, infinity, nan};
const std::vector<std::int64_t> wholes{least, least_int, -1, 0, 1, 2, most_int, most};
const std::vector<int> ints{least_int, -1, 0, 1, 2, most_int};
const std::vector<std::vector<double>> lists_of_levels{{},
                                                       {0},
                                                       {-0.0},
                                                       {-1},
                                                       {nan},
                                                       {infinity},
                                                       {1e308},
                                                       {1e-320},
                                                       {1, 1},
                                                       {1, 2},
                                                       {80, 0},
                                                       {80, -1},
                                                       {80, nan},
                                                       {nan, 1},
                                                       {infinity, 1},
                                                       {80, 1, 1},
                                                       {0.002},
                                                       {80, 1e-9},
                                                       {81},
                                                       {80, 1},
                                                       {2, 1, 0.5},
                                                       std::vector<double>(20000, 1)};
const std::vector<std::string> texts{
    "", " ", ".", "/", "nowhere", "\x1b[2J", "\xff\xfe", std::string(1, '\0'), "%s%n", "{", std::string(100000, 'a')};

template <typename T>
std::string text_of(const T& value) {
  std::ostringstream text;
  if constexpr (std::is_same_v<T, std::vector<double>>) {
    for (std::size_t i = 0; i < value.size() && i < 5; ++i) text << (i ? ", " : "") << value[i];
  } else {
    text << value;
  }
  return text.str().substr(0, 60);
}

/// thing: a regular expression that the message of an Error has to match.
void expect_sound(const std::string& call, const std::string& thing, const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_TRUE(std::regex_search(error.what(), std::regex(thing)))
        << call << ": \"" << error.what() << "\" does not name " << thing;
  } catch (const std::exception& error) {
    const std::string message = error.what();
    ADD_FAILURE() << call << ": " << typeid(error).name() << ": " << message.substr(0, message.find('\n'));
  } catch (...) {
    ADD_FAILURE() << call << ": an exception of another type";
  }
}

const std::string models = ONESTEP_TEST_MODELS;

const Generator& garments() {
  static const Generator generator = Generator::load(models + "/fashion.pt", {.precision = Precision::fp32});
  return generator;
}

Request one_sample() {
  Request request;
  request.seeds = {1};
  return request;
}

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("onestep-api-" + std::to_string(getpid()))) {
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

using Change = std::pair<std::string, std::function<void(Request&)>>;

/// Requests of one sample with one thing changed.
void expect_sound_requests(const std::string& thing, const std::vector<Change>& changes) {
  for (const auto& [what, change] : changes) {
    Request request = one_sample();
    change(request);
    expect_sound("plan, " + what, thing, [&] { garments().plan(request); });
    expect_sound("generate, " + what, thing, [&] { garments().generate(request); });
  }
}

TEST(WrongCalls, OfLoading) {
  const Folder folder;
  std::ofstream(folder.file("garbage.pt")) << std::string(5000, 'x');
  std::ofstream(folder.file("empty.pt"));
  std::vector<std::string> names = texts;
  for (const char* name : {"garbage.pt", "empty.pt", ""}) names.push_back(folder.file(name));
  for (const char* name : {"/dev/null", "/dev/zero", "/proc/self/mem"}) names.emplace_back(name);
  for (const std::string& name : names) {
    expect_sound("load " + text_of(name), "file|model|folder|path|empty", [&] { Generator::load(name); });
    expect_sound("load_model " + text_of(name), "file|model|folder|path|empty", [&] { load_model(name); });
    expect_sound("describe_model " + text_of(name), "file|model|folder|path|empty", [&] { describe_model(name); });
  }
  std::vector<std::string> devices = texts;
  for (const char* name :
       {"cpu:9", "cuda", "cuda:-1", "cuda:999999999999999999999", "cuda:1", "meta", "mps", "xla", "CPU"})
    devices.emplace_back(name);
  for (const std::string& device : devices) {
    expect_sound("device " + text_of(device), "device",
                 [&] { Generator::load(models + "/fashion.pt", {.device = device}); });
  }
  for (const int precision : {-1, 4, most_int}) {
    expect_sound("precision " + text_of(precision), "precision",
                 [&] { Generator::load(models + "/fashion.pt", {.precision = static_cast<Precision>(precision)}); });
  }
  for (const int threads : ints) {
    if (threads > 2 || threads < 1)
      expect_sound("threads " + text_of(threads), "threads", [&] { set_threads(threads); });
  }
}

TEST(WrongCalls, OfRequests) {
  expect_sound_requests("seed", {{"no seeds", [](Request& r) { r.seeds.clear(); }}});
  for (const std::int64_t number : wholes) {
    expect_sound_requests("batch", {{"batch " + text_of(number), [&](Request& r) { r.batch = number; }}});
    expect_sound_requests("label", {{"label " + text_of(number), [&](Request& r) { r.labels = {number}; }},
                                    {"a second label " + text_of(number), [&](Request& r) {
                                       r.labels = {0, number};
                                     }}});
  }
  for (const double number : numbers)
    expect_sound_requests("guidance", {{"guidance " + text_of(number), [&](Request& r) { r.guidance = number; }}});
  for (const std::size_t count : {1, 783, 785, 1568, 100000}) {
    for (const float value : {0.0F, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      expect_sound_requests("noise|NaN", {{"noise of " + text_of(count) + " values " + text_of(value),
                                           [&](Request& r) { r.noise.assign(count, value); }}});
    }
  }
  expect_sound("no sink", "sink", [] { garments().generate_each(one_sample(), Sink{}); });
  for (const std::int64_t batch : wholes) {
    if (batch < 1 || batch > 2)
      expect_sound("engine(" + text_of(batch) + ")", "batch|memory", [&] { garments().engine(batch); });
  }
}

TEST(WrongCalls, OfSamplersInARequest) {
  for (const SamplerDescription& sampler : samplers()) {
    const auto with = [&](const std::string& what, const std::string& thing, const Levels& levels,
                          const std::map<std::string, double>& options = {}) {
      for (const bool force : {false, true}) {
        expect_sound_requests(thing + "|suit|role", {{sampler.name + ", " + what, [&](Request& r) {
                                                        r.sampler = make_sampler(sampler.name, levels, options);
                                                        r.force = force;
                                                      }}});
      }
    };
    for (const int steps : ints) with("steps " + text_of(steps), "steps", {.steps = steps});
    for (const auto& levels : lists_of_levels) with("levels " + text_of(levels), "level|steps|NaN", {.values = levels});
    for (const std::string& schedule : texts)
      with("schedule " + text_of(schedule), "schedule", {.steps = 1, .schedule = schedule});
    for (const SamplerOption& option : sampler.options) {
      for (const double number : numbers)
        with(option.name + " " + text_of(number), option.name + "|NaN", {.steps = 2}, {{option.name, number}});
    }
  }
}

TEST(WrongCalls, OfEdits) {
  for (const std::size_t size : {0, 1, 196, 783, 784, 785, 2352}) {
    for (const float value : {0.0F, 2.0F, std::numeric_limits<float>::quiet_NaN()}) {
      const std::vector<float> values(size, value);
      const std::vector<float> whole(784, value);
      const std::string what = text_of(size) + " values " + text_of(value);
      for (const Edit& edit :
           std::vector<Edit>{Inpaint{values, whole}, Inpaint{whole, values}, Inpaint{values, values}, Colorize{values},
                             Upscale{values, 2}, Stroke{values}, Denoise{values}}) {
        expect_sound_requests("edit|inpaint|mask|sample|luma|colori|means|guide|stroke|denoise|upscale|NaN",
                              {{"edit of " + what, [&](Request& r) { r.edit = edit; }}});
      }
    }
  }
  for (const int factor : ints) {
    expect_sound_requests("factor|means", {{"factor " + text_of(factor), [&](Request& r) {
                                              r.edit = Upscale{std::vector<float>(196), factor};
                                            }}});
  }
  expect_sound_requests("edit|sampler", {{"edit with another sampler", [](Request& r) {
                                            r.edit = Stroke{std::vector<float>(784)};
                                            r.sampler = EulerSampler{};
                                            r.force = true;
                                          }}});
}

TEST(WrongCalls, OfInterpolation) {
  const ModelInfo& info = garments().info();
  for (const int number : ints) {
    expect_sound("frames " + text_of(number), "frames|values|memory", [&] { interpolate_seeds(info, 1, 2, number); });
    expect_sound("draws " + text_of(number), "draws|values|memory", [&] { interpolate_seeds(info, 1, 2, 2, number); });
    expect_sound("both " + text_of(number), "frames|draws|values|memory",
                 [&] { interpolate_seeds(info, 1, 2, number, number); });
  }
  expect_sound("no model", "shape|size", [] { interpolate_seeds({}, 1, 2, 2); });
  const std::vector<float> fine(784, 0.5F);
  for (const std::size_t size : {0, 1, 783, 785}) {
    const std::vector<float> values(size);
    expect_sound("first of " + text_of(size), "value|sample|first",
                 [&] { interpolate_samples(info, values, fine, 1, 0, 2); });
    expect_sound("last of " + text_of(size), "value|sample|last",
                 [&] { interpolate_samples(info, fine, values, 1, 0, 2); });
  }
  for (const double sigma : numbers)
    expect_sound("sigma " + text_of(sigma), "sigma", [&] { interpolate_samples(info, fine, fine, sigma, 0, 2); });
}

TEST(WrongCalls, OfTuning) {
  const std::vector<float> reference(2 * 784, 0.5F);
  const auto options = [] {
    TuneOptions fine;
    fine.seeds = {0, 1};
    fine.evaluations = 2;
    return fine;
  };
  const auto with = [&](const std::string& what, const std::string& thing,
                        const std::function<void(TuneOptions&)>& change) {
    TuneOptions changed = options();
    change(changed);
    expect_sound("tune, " + what, thing, [&] { tune(garments(), reference, changed); });
  };
  for (const int number : ints) {
    with("steps " + text_of(number), "steps", [&](TuneOptions& o) { o.steps = number; });
    with("evaluations " + text_of(number), "evaluations", [&](TuneOptions& o) { o.evaluations = number; });
  }
  for (const std::int64_t number : wholes)
    with("batch " + text_of(number), "batch", [&](TuneOptions& o) { o.batch = number; });
  with("no seeds", "seeds", [](TuneOptions& o) { o.seeds.clear(); });
  with("one seed", "seeds", [](TuneOptions& o) { o.seeds = {0}; });
  for (const std::string& features : texts) {
    if (!features.empty())
      with("features " + text_of(features), "feature", [&](TuneOptions& o) { o.features = features; });
  }
  for (const std::size_t size : {0, 1, 784, 785, 1567})
    expect_sound("reference of " + text_of(size), "reference",
                 [&] { tune(garments(), std::vector<float>(size), options()); });
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    expect_sound("reference of " + text_of(value), "reference|NaN|finite",
                 [&] { tune(garments(), std::vector<float>(1568, value), options()); });
  }
  const Folder folder;
  const std::map<int, std::vector<double>> fine{{2, {80, 1}}};
  for (const std::string& text : texts) {
    expect_sound("write_levels of " + text_of(text), "file|model|path|folder",
                 [&] { write_levels(text, fine, folder.file("a.pt")); });
    if (text != "nowhere") {
      expect_sound("write_levels to " + text_of(text), "file|path|folder|written", [&] {
        write_levels(models + "/fashion.pt", fine, text.empty() ? text : folder.file(text) + "/a.pt");
      });
    }
  }
  for (const int steps : ints) {
    for (const auto& levels : lists_of_levels) {
      expect_sound("write_levels " + text_of(steps) + ": " + text_of(levels), "level|steps", [&] {
        write_levels(models + "/fashion.pt", {{steps, levels}}, folder.file("a.pt"));
      });
    }
  }
}

TEST(WrongCalls, OfSaving) {
  const Folder folder;
  const ModelInfo& info = garments().info();
  const auto samples = [](std::size_t count, std::size_t size, float value = 0) {
    return std::vector<Sample>(count, Sample{0, std::nullopt, std::vector<float>(size, value), {}});
  };
  const std::string things =
      "file|sample|value|extension|folder|path|size|columns|enlarge|shape|memory|wide|large|pixel";
  for (const char* kind : {".png", ".jpg", ".webp", ".wav", ".npy", ".npz", ".svg", ".PNG", "", "."}) {
    const std::string file = folder.file("a") + kind;
    for (const std::size_t count :
         {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::numeric_limits<std::size_t>::max()})
      expect_sound("require_savable " + file + " " + text_of(count), things,
                   [&] { require_savable(file, info, count); });
    for (const std::size_t count : {0, 1, 3}) {
      for (const std::size_t size : {0, 1, 783, 784, 785})
        expect_sound("save " + file + " " + text_of(count) + " of " + text_of(size), things,
                     [&] { save(file, info, samples(count, size)); });
    }
    for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e38F})
      expect_sound("save " + file + " of " + text_of(value), things, [&] { save(file, info, samples(1, 784, value)); });
    std::vector<Sample> uneven = samples(2, 784);
    uneven[1].values.resize(10);
    expect_sound("save uneven samples to " + file, things, [&] { save(file, info, uneven); });
    std::vector<Sample> labelled = samples(2, 784);
    labelled[1].label = -5;
    expect_sound("save with one label to " + file, "label|does not hold|no kind of file",
                 [&] { save(file, info, labelled); });
    expect_sound("save of no model to " + file, things + "|model", [&] { save(file, ModelInfo{}, samples(1, 1)); });
    for (const int number : ints) {
      expect_sound(file + ", columns " + text_of(number), things,
                   [&] { save(file, info, samples(3, 784), {.columns = number}); });
      expect_sound(file + ", enlarge " + text_of(number), things,
                   [&] { save(file, info, samples(1, 784), {.enlarge = number}); });
    }
    for (const std::string& text : texts) {
      expect_sound(file + ", text " + text_of(text), "keyword|does not hold|no kind of file", [&] {
        save(file, info, samples(1, 784), {.texts = {{text, text}, {"a", text}}});
      });
    }
  }
  for (const std::string& text : texts)
    expect_sound("save to " + text_of(text), things,
                 [&] { save(text == "nowhere" ? "nowhere/a.png" : text, info, samples(1, 784)); });
}

// What holds torch::Tensor.

using Tensors = std::vector<std::pair<std::string, Tensor>>;

/// Tensors of this shape, and of others, good and bad.
Tensors tensors(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> more = shape, fewer(shape.begin() + (shape.empty() ? 0 : 1), shape.end()), larger = shape,
                            none = shape;
  more.push_back(1);
  if (!shape.empty()) {
    larger.back() += 1;
    none.front() = 0;
  }
  const Tensor fine = torch::full(shape, 0.5);
  return {{"undefined", Tensor()},
          {"a number", torch::tensor(1.0F)},
          {"empty", torch::empty({0})},
          {"no rows", torch::empty(none)},
          {"of more dimensions", torch::ones(more)},
          {"of fewer dimensions", torch::ones(fewer)},
          {"larger", torch::ones(larger)},
          {"half", fine.to(torch::kHalf)},
          {"bfloat16", fine.to(torch::kBFloat16)},
          {"double", fine.to(torch::kFloat64)},
          {"int64", torch::ones(shape, torch::kInt64)},
          {"int32", torch::ones(shape, torch::kInt32)},
          {"bool", torch::ones(shape, torch::kBool)},
          {"complex", torch::ones(shape, torch::kComplexFloat)},
          {"sparse", torch::ones(shape).to_sparse()},
          {"on meta", torch::ones(shape, torch::kMeta)},
          {"with gradients", torch::ones(shape, torch::requires_grad())},
          {"NaN", torch::full(shape, nan)},
          {"infinite", torch::full(shape, infinity)},
          {"one number repeated", torch::ones({1}).expand(shape)},
          {"fine", fine}};
}

class Returns : public Network {
 public:
  Returns(const ModelInfo& info, std::function<Tensor(const NetworkInput&)> make)
      : Network("test network", denoiser_signature(info)), make_(std::move(make)) {}

 protected:
  Tensor run(const NetworkInput& input) override { return make_(input); }

 private:
  std::function<Tensor(const NetworkInput&)> make_;
};

TEST(WrongCalls, OfNetworks) {
  const ModelInfo& info = garments().info();
  const Model model = load_model(models + "/fashion.pt", {.precision = Precision::fp32});
  const Tensor x = torch::ones({2, 1, 28, 28}), noise = torch::zeros({2}), label = torch::tensor({1, 2});
  Returns halves(info, [](const NetworkInput& input) { return 0.5 * input.x; });
  for (Network* network : {model.network.get(), static_cast<Network*>(&halves)}) {
    for (const auto& [name, tensor] : tensors({2, 1, 28, 28})) {
      expect_sound("x " + name, "x", [&, &x = tensor] { network->forward({x, {noise, label}}); });
      expect_sound("report, x " + name, "x", [&, &x = tensor] { network->report({x, {noise, label}}); });
    }
    for (const auto& [name, tensor] : tensors({2})) {
      expect_sound("noise " + name, "noise", [&, &noise = tensor] { network->forward({x, {noise, label}}); });
      expect_sound("label " + name, "label", [&, &label = tensor] { network->forward({x, {noise, label}}); });
    }
    for (const std::int64_t number : wholes)
      expect_sound("label " + text_of(number), "label|network|index", [&] {
        network->forward({x, {noise, torch::tensor({number, number})}});
      });
    for (const std::vector<Tensor>& conditions :
         std::vector<std::vector<Tensor>>{{}, {noise}, {label}, {noise, label, noise}})
      expect_sound(text_of(conditions.size()) + " conditions", "input", [&] { network->forward({x, conditions}); });
  }
  for (const auto& [name, tensor] : tensors({2, 1, 28, 28})) {
    Returns network(info, [&, &result = tensor](const NetworkInput&) { return result; });
    expect_sound("a result " + name, "network", [&] { network.forward({x, {noise, label}}); });
    const Denoiser denoiser(network, info, {.label = label});
    expect_sound("a denoiser's result " + name, "network", [&] { denoiser(x, 1); });
  }
  const auto thrower = [&](auto thrown) {
    Returns network(info, [=](const NetworkInput&) -> Tensor { throw thrown; });
    expect_sound("a network that throws", "test network", [&] { network.forward({x, {noise, label}}); });
  };
  thrower(std::runtime_error("a"));
  thrower(std::bad_alloc());
  thrower(1);
  for (const std::int64_t row : wholes)
    expect_sound("row " + text_of(row), "row", [&] { NetworkInput{x, {noise, label}}.row(row); });
}

TEST(WrongCalls, OfDenoisers) {
  const ModelInfo& info = garments().info();
  Returns halves(info, [](const NetworkInput& input) { return 0.5 * input.x; });
  const Tensor x = torch::ones({2, 1, 28, 28}), label = torch::tensor({1, 2});
  for (const auto& [name, tensor] : tensors({2, 1, 28, 28}))
    expect_sound("denoiser, x " + name, "x", [&, &x = tensor] { Denoiser(halves, info, {.label = label})(x, 1); });
  for (const auto& [name, tensor] : tensors({2}))
    expect_sound("denoiser, label " + name, "label",
                 [&, &label = tensor] { Denoiser(halves, info, {.label = label})(x, 1); });
  for (const std::int64_t number : wholes)
    expect_sound("denoiser, label " + text_of(number), "label", [&] {
      Denoiser(halves, info, {.label = torch::tensor({number, number})})(x, 1);
    });
  for (const double number : numbers) {
    expect_sound("denoiser, sigma " + text_of(number), "sigma",
                 [&] { Denoiser(halves, info, {.label = label})(x, number); });
    expect_sound("denoiser, target " + text_of(number), "target",
                 [&] { Denoiser(halves, info, {.label = label})(x, 1, number); });
    expect_sound("denoiser, guidance " + text_of(number), "guidance",
                 [&] { Denoiser(halves, info, {.label = label, .guidance = number})(x, 1); });
    expect_sound("network_input, sigma " + text_of(number), "sigma",
                 [&] { network_input(info, x, number, 0, {.label = label}); });
    expect_sound("calls_twice " + text_of(number), "guidance", [&] { calls_twice(info, number); });
  }
  for (const std::int64_t number : wholes) {
    if (number <= 2)
      expect_sound("trial_condition " + text_of(number), "count", [&] { trial_condition(info, number); });
  }
  // Metadata made by hand.
  const auto with = [&](const std::string& what, const std::function<void(ModelInfo&)>& change) {
    ModelInfo changed = info;
    change(changed);
    expect_sound("by hand, " + what, ".", [&] {
      Returns network(changed, [](const NetworkInput& input) { return 0.5 * input.x; });
      Denoiser(network, changed, {.label = label})(x, 1);
    });
  };
  for (const std::string& text : texts) {
    with("prediction " + text_of(text), [&](ModelInfo& i) { i.prediction = text; });
    with("noise_input " + text_of(text), [&](ModelInfo& i) { i.noise_input = text; });
  }
  for (const char* kind : {"epsilon", "v", "sample", "flow", "trigflow", "denoised"})
    with(std::string("prediction ") + kind, [&](ModelInfo& i) { i.prediction = kind; });
  with("timesteps without levels", [](ModelInfo& i) { i.noise_input = "timestep"; });
  with("timestep scaling without timesteps", [](ModelInfo& i) { i.timestep_scaling = 10, i.prediction = "epsilon"; });
  with("a role of no name", [](ModelInfo& i) { i.role = static_cast<Role>(77); });
  with("no shape", [](ModelInfo& i) { i.sample = {}; });
  with("one-hot labels", [](ModelInfo& i) { i.one_hot_labels = true; });
  for (const double number : numbers) {
    with("sigma_data " + text_of(number), [&](ModelInfo& i) { i.sigma_data = number; });
    with("boundary_sigma " + text_of(number), [&](ModelInfo& i) { i.boundary_sigma = number; });
  }
  for (const std::int64_t number : wholes) {
    with("label_count " + text_of(number), [&](ModelInfo& i) { i.label_count = number; });
    with("null_label " + text_of(number), [&](ModelInfo& i) { i.null_label = number; });
  }
}

TEST(WrongCalls, OfNoise) {
  for (const std::int64_t size : wholes) {
    if (size > 2 && size < most) continue;  // as much memory as it says
    expect_sound("shape " + text_of(size), "shape|size|value|memory", [&] { seeded_noise({1}, {size})(0); });
    expect_sound("shape " + text_of(size) + " twice", "shape|size|value|memory", [&] {
      seeded_noise({1}, {size, size, size})(0);
    });
  }
  expect_sound("no seeds", "seed", [] { seeded_noise({}, {2})(0); });
  expect_sound("no shape", "shape", [] { seeded_noise({1}, {})(0); });
  expect_sound("the last draw", ".", [] { seeded_noise({~std::uint64_t{0}}, {3})(~std::uint32_t{0}); });
}

/// Every sampler with this denoiser, noise source, start and levels.
void expect_sound_samplers(const std::string& what, const std::string& thing, const DenoiserFunction& f,
                           const Tensor& x, const NoiseSource& z, const std::vector<double>& levels) {
  const FlowMapFunction flow_map =
      f ? FlowMapFunction([&](const Tensor& y, double sigma, double) { return f(y, sigma); }) : FlowMapFunction();
  expect_sound("sample_consistency, " + what, thing, [&] { sample_consistency(f, x, z, levels, 0.002); });
  expect_sound("sample_euler, " + what, thing, [&] { sample_euler(f, x, levels); });
  expect_sound("sample_ddim, " + what, thing, [&] { sample_ddim(f, x, z, levels, 0.5); });
  expect_sound("sample_heun, " + what, thing, [&] { sample_heun(f, x, z, levels, {.amount = 1}); });
  expect_sound("sample_dpm2, " + what, thing, [&] { sample_dpm2(f, x, levels); });
  expect_sound("sample_dpmpp_2m, " + what, thing, [&] { sample_dpmpp_2m(f, x, levels); });
  expect_sound("sample_gamma, " + what, thing, [&] {
    sample_gamma(flow_map, x, z, levels, std::vector<double>(levels.empty() ? 0 : levels.size() - 1, 0.0));
  });
  const Observation observation = observe_values(torch::zeros({2, 3}), torch::ones({2, 3}));
  expect_sound("sample_edit, " + what, thing + "|observ|known",
               [&] { sample_edit(f, x, z, levels, 0.002, observation); });
}

TEST(WrongCalls, OfSamplers) {
  const Tensor x = torch::ones({2, 3});
  const DenoiserFunction f = [](const Tensor& y, double) { return 0.5 * y; };
  const NoiseSource z = [](std::uint32_t) { return torch::ones({2, 3}); };
  const std::vector<double> levels{80, 1};
  for (const auto& list : lists_of_levels) expect_sound_samplers("levels " + text_of(list), "level", f, x, z, list);
  expect_sound_samplers("no denoiser", "denoiser|flow map|f ", DenoiserFunction(), x, z, levels);
  expect_sound_samplers("no noise", "noise|z", f, x, NoiseSource(), levels);
  for (const auto& [name, tensor] : tensors({2, 3})) {
    expect_sound_samplers("x " + name, "x", f, tensor, z, levels);
    expect_sound_samplers(
        "a denoiser's result " + name, "denois|flow map|result",
        [&, &result = tensor](const Tensor&, double) { return result; }, x, z, levels);
    expect_sound_samplers(
        "noise " + name, "noise|z", f, x, [&, &result = tensor](std::uint32_t) { return result; }, levels);
  }
  for (const double number : numbers) {
    expect_sound("epsilon " + text_of(number), "epsilon|level", [&] { sample_consistency(f, x, z, levels, number); });
    expect_sound("eta " + text_of(number), "eta", [&] { sample_ddim(f, x, z, levels, number); });
    expect_sound("churn " + text_of(number), "churn", [&] { sample_heun(f, x, z, levels, {.amount = number}); });
    expect_sound("churn noise " + text_of(number), "churn",
                 [&] { sample_heun(f, x, z, levels, {.amount = 1, .noise = number}); });
    expect_sound("churn sigma_min " + text_of(number), "churn",
                 [&] { sample_heun(f, x, z, levels, {.amount = 1, .sigma_min = number}); });
    expect_sound("churn sigma_max " + text_of(number), "churn",
                 [&] { sample_heun(f, x, z, levels, {.amount = 1, .sigma_max = number}); });
    const FlowMapFunction flow_map = [](const Tensor& y, double, double) { return 0.5 * y; };
    for (const std::vector<double>& targets : std::vector<std::vector<double>>{{number}, {}, {number, number}})
      expect_sound("targets " + text_of(targets), "target", [&] { sample_gamma(flow_map, x, z, levels, targets); });
    expect_sound("gamma_targets " + text_of(number), "gamma", [&] { gamma_targets(levels, number); });
  }
}

TEST(WrongCalls, OfObservations) {
  for (const auto& [name, tensor] : tensors({2, 3, 4, 4})) {
    expect_sound("observe_values of " + name, "x|mask|value", [&, &x = tensor] {
      observe_values(x, torch::ones({4, 4}));
    });
    expect_sound("observe_values, mask " + name, "x|mask|value", [&, &x = tensor] {
      observe_values(torch::ones({2, 3, 4, 4}), x);
    });
    expect_sound("observe_luma of " + name, "luma", [&, &x = tensor] { observe_luma(x); });
    expect_sound("observe_block_means of " + name, "means", [&, &x = tensor] { observe_block_means(x, 2); });
  }
  for (const auto& [name, tensor] : tensors({2, 1, 4, 4}))
    expect_sound("observe_luma of " + name, "luma", [&, &x = tensor] { observe_luma(x); });
  for (const int factor : ints)
    expect_sound("factor " + text_of(factor), "factor", [&] {
      observe_block_means(torch::ones({1, 1, 2, 2}), factor);
    });
  const Observation fine = observe_values(torch::zeros({2, 3}), torch::ones({3}));
  for (const auto& [name, tensor] : tensors({2, 3})) {
    expect_sound("put_back on " + name, "x|observ", [&, &x = tensor] { fine.put_back(x); });
    for (const int part : {0, 1, 2, 3}) {
      Observation changed = fine;
      if (part == 0) changed.mask = tensor;
      if (part == 1) changed.known = tensor;
      if (part == 2) changed.to_basis = [&, &y = tensor](const Tensor&) { return y; };
      if (part == 3) changed.from_basis = [&, &y = tensor](const Tensor&) { return y; };
      expect_sound("an observation's part " + text_of(part) + " " + name, "observ|mask|known|basis", [&] {
        changed.put_back(torch::ones({2, 3}));
      });
    }
  }
  expect_sound("an observation of nothing", "observ|basis", [] { Observation{}.put_back(torch::ones({2, 3})); });
}

// Not wrong where it is done as the header says.
TEST(WrongCalls, AChildOfForkDrawsWithOneThread) {
  set_threads(2);
  Request request;
  request.seeds = {0, 1, 2, 3};
  garments().generate(request);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    set_threads(1);
    _exit(garments().generate(request).samples.size() == 4 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace onestep
