#include "sound_picture.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include "onestep/error.hpp"
#include "picture_text.hpp"
#include "values.hpp"

namespace onestep {
namespace {

constexpr int width = 256, wave_height = 72, gap = 2, octaves = 8, rows_an_octave = 16, rows = octaves * rows_an_octave;
constexpr int text_scale = 2, caption_height = letter_height * text_scale + 6;
constexpr double quietest = -80;  // dB, of full scale

/// From black by violet and orange to white, each lighter than the one before, as matplotlib's magma.
Colour heat(double level) {
  constexpr std::array<std::array<double, 3>, 9> stops{{{0, 0, 4},
                                                        {28, 16, 68},
                                                        {79, 18, 123},
                                                        {129, 37, 129},
                                                        {181, 54, 122},
                                                        {229, 80, 100},
                                                        {251, 135, 97},
                                                        {254, 194, 135},
                                                        {252, 253, 191}}};
  const double place = std::clamp(level, 0.0, 1.0) * (stops.size() - 1);
  const auto before = std::min(static_cast<std::size_t>(place), stops.size() - 2);
  const double part = place - static_cast<double>(before);
  Colour colour = white;
  for (std::size_t c = 0; c < 3; ++c) {
    colour[c] = static_cast<std::uint8_t>(std::lround((1 - part) * stops[before][c] + part * stops[before + 1][c]));
  }
  return colour;
}

/// The discrete Fourier transform of 2^k numbers, in place (Cooley & Tukey 1965).
void transform(std::vector<std::complex<float>>& x) {
  const std::size_t size = x.size();
  for (std::size_t i = 1, j = 0; i < size; ++i) {
    std::size_t bit = size / 2;
    for (; j & bit; bit /= 2) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(x[i], x[j]);
  }
  for (std::size_t half = 1; half < size; half *= 2) {
    for (std::size_t k = 0; k < half; ++k) {
      const std::complex<float> turn = std::polar(1.0F, -std::numbers::pi_v<float> * k / half);
      for (std::size_t i = k; i < size; i += 2 * half) {
        const std::complex<float> a = x[i], b = x[i + half];
        const std::complex<float> turned(b.real() * turn.real() - b.imag() * turn.imag(),
                                         b.real() * turn.imag() + b.imag() * turn.real());
        x[i] = a + turned;
        x[i + half] = a - turned;
      }
    }
  }
}

/// Spectra of a sound at any place.
class Spectrum {
 public:
  /// A thirtieth of a second or up to twice that: low tones are told apart, and one sees when a sound begins.
  Spectrum(const std::vector<float>& sound, double rate) : sound_(sound), rate_(rate) {
    std::size_t size = 64;
    while (static_cast<double>(size) < rate / 30 && size < 16384) size *= 2;
    window_.resize(size);
    for (std::size_t i = 0; i < size; ++i)
      window_[i] = 0.5F - 0.5F * std::cos(2 * std::numbers::pi_v<float> * (i + 0.5F) / size);
    values_.resize(size);
  }

  void move_to(double place) {
    const auto size = static_cast<std::int64_t>(window_.size());
    const std::int64_t first = std::llround(place) - size / 2;
    for (std::int64_t i = 0; i < size; ++i) {
      const std::int64_t at = first + i;
      values_[i] = at >= 0 && at < static_cast<std::int64_t>(sound_.size()) ? window_[i] * sound_[at] : 0;
    }
    transform(values_);
  }

  /// The loudest within a band, dB of full scale.
  double loudest(double lowest, double highest) const {
    const double bin = static_cast<double>(window_.size()) / rate_;
    const double from = lowest * bin, to = highest * bin;
    double most = std::max(at(from), at(to));
    for (double between = std::ceil(from); between < to; ++between) most = std::max(most, at(between));
    return most;
  }

 private:
  /// Of a bin, or between two of them.
  double at(double bin) const {
    const auto before = static_cast<std::size_t>(bin);
    const double part = bin - static_cast<double>(before);
    return (1 - part) * decibels(before) + part * decibels(before + 1);
  }
  double decibels(std::size_t bin) const {
    // A tone of full scale has half of the window's sum, which is half of its size.
    const double amplitude = 4 * std::abs(values_[std::min(bin, values_.size() / 2)]) / window_.size();
    return 20 * std::log10(amplitude + 1e-9);
  }

  const std::vector<float>& sound_;
  double rate_;
  std::vector<float> window_;
  std::vector<std::complex<float>> values_;
};

}  // namespace

Picture picture_of_sound(std::span<const float> values, std::span<const std::int64_t> shape, double low, double high,
                         double rate, std::string caption) {
  if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1)
    throw Error(ErrorKind::usage, "shape = " + shape_text(shape) + " must be [C, L], each 1 or more");
  require_shape(values.size(), shape);
  require_range(low, high);
  const std::int64_t channels = shape[0], length = shape[1];
  const auto level = [&](std::int64_t c, std::int64_t i) {
    return 2 * fraction(values[c * length + i], low, high) - 1;
  };

  const int top = caption.empty() ? 0 : caption_height;
  Picture picture = blank_picture(width, top + wave_height + gap + rows, 3);
  while (text_width(caption, text_scale) >= width) caption.pop_back();
  draw_text(picture, 0, 0, caption, text_scale, true);
  const auto fill = [&](int x, int y, int height, const Colour& colour) {
    paste(picture, blank_picture(1, height, 3, colour), x, top + y);
  };

  std::vector<float> mean(length);
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t i = 0; i < length; ++i)
      mean[i] += static_cast<float>(level(c, i) / static_cast<double>(channels));
  }
  Spectrum spectrum(mean, rate);
  const auto frequency = [&](double row) { return rate / 2 * std::exp2(-row / rows_an_octave); };
  for (int x = 0; x < width; ++x) {
    // Of all channels, from the lowest to the highest sample of the column.
    const std::int64_t first = x * length / width, last = std::max((x + 1) * length / width, first + 1);
    double least = 1, most = -1;
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t i = first; i < last; ++i) {
        least = std::min(least, level(c, i));
        most = std::max(most, level(c, i));
      }
    }
    const auto row_of = [&](double value) {
      return static_cast<int>(std::lround((1 - value) / 2 * (wave_height - 1)));
    };
    fill(x, 0, wave_height, heat(0));
    fill(x, row_of(most), row_of(least) - row_of(most) + 1, heat(0.75));

    spectrum.move_to((x + 0.5) * static_cast<double>(length) / width);
    for (int row = 0; row < rows; ++row) {
      const double loudness = spectrum.loudest(frequency(row + 1), frequency(row));
      fill(x, wave_height + gap + row, 1, heat(1 - loudness / quietest));
    }
  }
  return picture;
}

}  // namespace onestep
