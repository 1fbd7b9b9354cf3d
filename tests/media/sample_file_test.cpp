#include "sample_file.hpp"

#include <gtest/gtest.h>
#include <sndfile.h>
#include <webp/demux.h>

#include <memory>

#include "clip_file.hpp"
#include "output_file.hpp"
#include "sound_file.hpp"
#include "temporary_folder.hpp"

namespace onestep {
namespace {

const SampleFormat image{Modality::image, {1, 2, 2}}, latent{Modality::image, {8, 2, 2}},
    glass{Modality::image, {4, 1, 1}, 0, 255}, sound{Modality::audio, {2, 3}, -1, 1, 8000},
    clip{Modality::video, {1, 3, 2, 2}, 0, 255, 8};
const std::vector<std::uint64_t> one_seed{5}, two_seeds{5, 6};

TEST(FileKind, FollowsTheExtensionInAnyCase) {
  EXPECT_EQ(file_kind("a.png", image, 9), FileKind::png);
  EXPECT_EQ(file_kind("a.b.JPG", image, 9), FileKind::jpeg);
  EXPECT_EQ(file_kind("a.Jpeg", image, 9), FileKind::jpeg);
  EXPECT_EQ(file_kind("a.webp", image, 9), FileKind::webp);
  EXPECT_EQ(file_kind("a.webp", clip, 9), FileKind::webp);
  EXPECT_EQ(file_kind("a.GIF", clip, 9), FileKind::gif);
  EXPECT_EQ(file_kind("a.png", clip, 9), FileKind::png);
  EXPECT_EQ(file_kind("a.wav", sound, 1), FileKind::wav);
  EXPECT_EQ(file_kind("a.npy", sound, 9), FileKind::npy);
  EXPECT_EQ(file_kind("a.png", sound, 9), FileKind::png);
  EXPECT_EQ(file_kind("a.npz", latent, 9), FileKind::npz);
}

TEST(FileKind, ThatDoesNotFitListsThoseThatDo) {
  const auto refusal = [](const std::string& file, const SampleFormat& format, std::size_t count) {
    return error_of([&] { file_kind(file, format, count); });
  };
  EXPECT_EQ(
      refusal("a.wav", image, 1),
      "usage: a.wav: .wav does not hold samples of modality image and shape [1, 2, 2]; these do: .png, .jpg, .jpeg, "
      ".webp, .npy, .npz");
  EXPECT_EQ(refusal("a.gif", sound, 1),
            "usage: a.gif: .gif does not hold samples of modality audio and shape [2, 3]; these do: .png, .jpg, .jpeg, "
            ".webp, .wav, .npy, .npz");
  EXPECT_EQ(
      refusal("a.bmp", clip, 1),
      "usage: a.bmp: .bmp is no kind of file that is known; these are: .png, .jpg, .jpeg, .webp, .apng, .gif, .wav, "
      ".mid, .midi, .npy, .npz");
  EXPECT_EQ(refusal("a.gif", image, 1),
            "usage: a.gif: .gif does not hold samples of modality image and shape [1, 2, 2]; these do: .png, .jpg, "
            ".jpeg, .webp, .npy, .npz");
  EXPECT_EQ(refusal("a.wav", sound, 2),
            "usage: a.wav: .wav holds one sample of modality audio, not 2; give a file a sample, such as "
            "{seed:06d}.wav, or .npy or .npz");
  EXPECT_EQ(refusal("sheet", clip, 1),
            "usage: sheet: a name without extension is no kind of file that is known; these are: .png, .jpg, .jpeg, "
            ".webp, .apng, .gif, .wav, .mid, .midi, .npy, .npz");
  EXPECT_EQ(refusal("a.png", latent, 1),
            "usage: a.png: .png does not hold samples of modality image and shape [8, 2, 2]; these do: .npy, .npz");
  EXPECT_EQ(refusal("a.jpg", glass, 1),
            "usage: a.jpg: .jpg does not hold samples of modality image and shape [4, 1, 1]; these do: .png, .webp, "
            ".npy, .npz");
  EXPECT_EQ(refusal("a.wav", sound, 2),
            "usage: a.wav: .wav holds one sample of modality audio, not 2; give a file a sample, such as "
            "{seed:06d}.wav, or .npy or .npz");
}

std::vector<std::span<const float>> samples(const std::vector<float>& values, std::size_t count) {
  std::vector<std::span<const float>> each;
  const std::size_t size = values.size() / count;
  for (std::size_t i = 0; i < count; ++i) each.push_back(std::span(values).subspan(i * size, size));
  return each;
}

TEST(EncodeSamples, MakesAGridOfSeveralPicturesAndNoneOfOne) {
  const std::vector<float> values{-1, -1, 1, 1, 1, 1, -1, -1};
  const PictureValues two =
      decode_picture(encode_samples(FileKind::png, image, {samples(values, 2), two_seeds, {}}, {2, 3}), "two.png");
  // Two tiles of 6 x 6 with gaps of 2.
  EXPECT_EQ(two.width, 18);
  EXPECT_EQ(two.height, 10);
  const std::vector<float> first(values.begin(), values.begin() + 4);
  const PictureValues one =
      decode_picture(encode_samples(FileKind::png, image, {samples(first, 1), one_seed, {}}), "one.png");
  EXPECT_EQ(one.values, (std::vector<float>{0, 0, 1, 1}));
  EXPECT_EQ(error_of([&] {
              encode_samples(FileKind::png, image, {samples(values, 1), one_seed, {}});
            }),
            "usage: shape = [1, 2, 2] needs 4 values, but 8 were given");
  EXPECT_EQ(error_of([&] {
              encode_samples(FileKind::npy, image, {samples(values, 2), one_seed, {}});
            }),
            "usage: 2 samples were given with 1 seeds");
  EXPECT_EQ(error_of([&] {
              encode_samples(FileKind::wav, image, {samples(values, 2), two_seeds, {}});
            }),
            "usage: .wav does not hold samples of modality image and shape [1, 2, 2]; these do: .png, .jpg, .jpeg, "
            ".webp, .npy, .npz");
}

TEST(EncodeSamples, MakesAGridOfPicturesOfSounds) {
  const std::vector<float> values(12);
  const PictureValues two = decode_picture(
      encode_samples(FileKind::png, sound, {samples(values, 2), two_seeds, {}, {"kick 5", "snare 6"}}), "two.png");
  EXPECT_EQ(two.width, 2 * 256 + 3 * 16);
  const PictureValues one = decode_picture(
      encode_samples(FileKind::png, sound, {samples(std::vector<float>(6), 1), one_seed, {}}), "one.png");
  EXPECT_EQ(one.width, 256);
  EXPECT_LT(one.height, two.height - 2 * 16);  // the line of text
}

TEST(EncodeSamples, TakesTheFourthChannelForOpacity) {
  const std::vector<float> values{10, 20, 30, 51};
  const PictureValues back =
      decode_picture(encode_samples(FileKind::png, glass, {samples(values, 1), one_seed, {}}), "a.png");
  EXPECT_EQ(back.opacity, std::vector<float>{0.2F});
  EXPECT_EQ(back.channels, 3);
}

TEST(EncodeSamples, KeepsAClipFrameByFrame) {
  const std::vector<float> values{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110};
  const auto bytes = encode_samples(FileKind::webp, clip, {samples(values, 1), one_seed, {}});
  const WebPData data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> decoder(WebPAnimDecoderNew(&data, nullptr),
                                                                                   WebPAnimDecoderDelete);
  ASSERT_TRUE(decoder);
  for (int frame = 0; frame < 3; ++frame) {
    std::uint8_t* pixels;
    int end;
    ASSERT_TRUE(WebPAnimDecoderGetNext(decoder.get(), &pixels, &end));
    EXPECT_EQ(end, 125 * (frame + 1));  // ms, at 8 frames/s
    for (int i = 0; i < 4; ++i) EXPECT_EQ(pixels[4 * i], values[4 * frame + i]);
  }
  EXPECT_FALSE(WebPAnimDecoderHasMoreFrames(decoder.get()));
}

TEST(EncodeClips, RefusesWhatNoClipCanBe) {
  const Picture picture = blank_picture(2, 2, 1);
  for (const auto encode : {+[](const std::vector<Picture>&frames, double rate) { return encode_apng(frames, rate); },
                            +[](const std::vector<Picture>&frames, double rate) { return encode_gif(frames, rate); }}) {
    EXPECT_EQ(error_of([&] { encode({}, 8); }), "usage: a clip needs at least one frame");
    EXPECT_EQ(error_of([&] { encode({picture}, 1001); }), "usage: frame_rate = 1001 must be in (0, 1000] frames/s");
    EXPECT_EQ(error_of([&] {
                encode({picture, blank_picture(2, 3, 1)}, 8);
              }),
              "usage: the frames of a clip must be of one size and have as many channels");
  }
  EXPECT_EQ(error_of([&] { encode_apng({picture}, 0.01); }),
            "usage: a frame of an APNG lasts at most 65 s; raise frame_rate");
  EXPECT_EQ(error_of([&] { encode_gif({picture}, 0.001); }),
            "usage: a frame of a GIF lasts at most 655 s; raise frame_rate");
  EXPECT_EQ(error_of([&] { encode_gif({blank_picture(65536, 1, 1)}, 8); }),
            "usage: 65536 x 1 pixels: a GIF's sides must be at most 65535; write .webp or .apng");
}

TEST(EncodeWebp, RefusesWhatNoClipCanBe) {
  const Picture picture = blank_picture(2, 2, 1);
  EXPECT_EQ(error_of([&] { encode_webp({}); }), "usage: a clip needs at least one frame");
  EXPECT_EQ(error_of([&] { encode_webp({picture}, 0); }), "usage: frame_rate = 0 must be in (0, 1000] frames/s");
  EXPECT_EQ(error_of([&] { encode_webp({blank_picture(16384, 1, 1)}); }),
            "usage: 16384 x 1 pixels: a WebP's sides must be at most 16383; write .png");
}

TEST(EncodeWav, KeepsChannelsApartAndClamps) {
  const TemporaryFolder folder;
  const std::vector<float> values{-1, 0, 1, -9, 0.5F, 9};
  write_file(folder / "a.wav", encode_samples(FileKind::wav, sound, {samples(values, 1), one_seed, {}}));
  SF_INFO info{};
  const std::unique_ptr<SNDFILE, decltype(&sf_close)> file(sf_open((folder / "a.wav").c_str(), SFM_READ, &info),
                                                           sf_close);
  ASSERT_TRUE(file);
  EXPECT_EQ(info.samplerate, 8000);
  EXPECT_EQ(info.channels, 2);
  ASSERT_EQ(info.frames, 3);
  std::vector<short> frames(6);
  sf_readf_short(file.get(), frames.data(), 3);
  // 0.5 * 32767 = 16383.5 rounds away from zero.
  EXPECT_EQ(frames, (std::vector<short>{-32767, -32767, 0, 16384, 32767, 32767}));
}

TEST(EncodeWav, RefusesWhatNoWavHolds) {
  const std::vector<float> values(6);
  const std::vector<std::int64_t> shape{2, 3}, flat{6};
  EXPECT_EQ(error_of([&] { encode_wav(values, shape, -1, 1, 0); }), "usage: sample_rate = 0 must be at least 1 Hz");
  EXPECT_EQ(error_of([&] { encode_wav(values, flat, -1, 1, 8000); }), "usage: shape = [6] must be [C, L]");
  EXPECT_EQ(error_of([&] {
              encode_wav({}, std::vector<std::int64_t>{0, 3}, -1, 1, 8000);
            }),
            "usage: shape = [0, 3] does not fit a WAV, which holds 1 to 1024 channels and 4 GiB; write .npy");
}

}  // namespace
}  // namespace onestep
