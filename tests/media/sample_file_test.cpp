#include "sample_file.hpp"

#include <gtest/gtest.h>
#include <sndfile.h>
#include <webp/demux.h>

#include <memory>

#include "sound_file.hpp"
#include "temporary_folder.hpp"

namespace onestep {
namespace {

const SampleFormat image{Modality::image, {1, 2, 2}}, latent{Modality::image, {4, 2, 2}},
    sound{Modality::audio, {2, 3}, -1, 1, 8000}, clip{Modality::video, {1, 3, 2, 2}, 0, 255, 8};
const std::vector<std::uint64_t> one_seed{5}, two_seeds{5, 6};

TEST(OutputKind, FollowsTheExtensionInAnyCase) {
  EXPECT_EQ(output_kind("a.png", image, 9), OutputKind::png);
  EXPECT_EQ(output_kind("a.b.JPG", image, 9), OutputKind::jpeg);
  EXPECT_EQ(output_kind("a.Jpeg", image, 9), OutputKind::jpeg);
  EXPECT_EQ(output_kind("a.webp", image, 9), OutputKind::webp);
  EXPECT_EQ(output_kind("a.webp", clip, 1), OutputKind::webp);
  EXPECT_EQ(output_kind("a.wav", sound, 1), OutputKind::wav);
  EXPECT_EQ(output_kind("a.npy", sound, 9), OutputKind::npy);
  EXPECT_EQ(output_kind("a.npz", latent, 9), OutputKind::npz);
}

TEST(OutputKind, ThatDoesNotFitListsThoseThatDo) {
  const auto refusal = [](const std::string& file, const SampleFormat& format, std::size_t count) {
    return error_of([&] { output_kind(file, format, count); });
  };
  EXPECT_EQ(refusal("a.wav", image, 1),
            "usage: a.wav: .wav is no kind of file for samples of modality image; these are: .png, .jpg, .jpeg, .webp, "
            ".npy, .npz");
  EXPECT_EQ(refusal("a.png", sound, 1),
            "usage: a.png: .png is no kind of file for samples of modality audio; these are: .wav, .npy, .npz");
  EXPECT_EQ(refusal("a.gif", clip, 1),
            "usage: a.gif: .gif is no kind of file for samples of modality video; these are: .webp, .npy, .npz");
  EXPECT_EQ(
      refusal("sheet", clip, 1),
      "usage: sheet: a name without extension is no kind of file for samples of modality video; these are: .webp, "
      ".npy, .npz");
  EXPECT_EQ(refusal("a.png", latent, 1),
            "usage: a.png: samples of shape [4, 2, 2] have 4 channels, but a picture has 1 or 3; these do: .npy, .npz");
  EXPECT_EQ(refusal("a.wav", sound, 2),
            "usage: a.wav: .wav holds one sample of modality audio, not 2; give a file a sample, such as "
            "{seed:06d}.wav, or .npy or .npz");
}

TEST(WriteSamples, MakesAGridOfSeveralPicturesAndNoneOfOne) {
  const TemporaryFolder folder;
  const std::vector<float> values{-1, -1, 1, 1, 1, 1, -1, -1};
  write_samples(folder / "two.png", image, {values, two_seeds, {}}, {2, 3});
  // Two tiles of 6 x 6 with gaps of 2.
  EXPECT_EQ(read_picture(folder / "two.png").width, 18);
  EXPECT_EQ(read_picture(folder / "two.png").height, 10);
  write_samples(folder / "one.png", image, {std::span(values).first(4), one_seed, {}});
  EXPECT_EQ(read_picture(folder / "one.png").pixels, (std::vector<std::uint8_t>{0, 0, 255, 255}));
  EXPECT_EQ(error_of([&] {
              write_samples(folder / "a.png", image, {values, one_seed, {}});
            }),
            "usage: shape = [1, 1, 2, 2] needs 4 values, but 8 were given");
  EXPECT_EQ(folder.file_count(), 2);
}

TEST(WriteSamples, KeepsAClipFrameByFrame) {
  const TemporaryFolder folder;
  const std::vector<float> values{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110};
  write_samples(folder / "a.webp", clip, {values, one_seed, {}});
  const std::string bytes = bytes_of(folder / "a.webp");
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

TEST(WriteWebp, RefusesWhatNoClipCanBe) {
  const Picture picture = blank_picture(2, 2, 1);
  EXPECT_EQ(error_of([&] { write_webp("a.webp", {}); }), "usage: a.webp: a clip needs at least one frame");
  EXPECT_EQ(error_of([&] { write_webp("a.webp", {picture}, 0); }),
            "usage: a.webp: frame_rate = 0 must be in (0, 1000] frames/s");
  EXPECT_EQ(error_of([&] { write_webp("a.webp", {blank_picture(16384, 1, 1)}); }),
            "usage: a.webp: 16384 x 1 pixels: a WebP's sides must be at most 16383; write .png");
}

TEST(WriteWav, KeepsChannelsApartAndClamps) {
  const TemporaryFolder folder;
  const std::vector<float> values{-1, 0, 1, -9, 0.5F, 9};
  write_samples(folder / "a.wav", sound, {values, one_seed, {}});
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

TEST(WriteWav, RefusesWhatNoWavHolds) {
  const std::vector<float> values(6);
  const std::vector<std::int64_t> shape{2, 3}, flat{6};
  EXPECT_EQ(error_of([&] { write_wav("a.wav", values, shape, -1, 1, 0); }),
            "usage: sample_rate = 0 must be at least 1 Hz");
  EXPECT_EQ(error_of([&] { write_wav("a.wav", values, flat, -1, 1, 8000); }), "usage: shape = [6] must be [C, L]");
  EXPECT_EQ(error_of([&] {
              write_wav("a.wav", {}, std::vector<std::int64_t>{0, 3}, -1, 1, 8000);
            }),
            "usage: shape = [0, 3] does not fit a WAV, which holds 1 to 1024 channels and 4 GiB; write .npy");
}

}  // namespace
}  // namespace onestep
