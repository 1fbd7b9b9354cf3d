// Ten lines to a picture of any size, of any model of pictures. Usage: wallpaper [MODEL [WIDTH HEIGHT [FILE]]]
#include <cstdlib>
#include <onestep/canvas.hpp>

int main(int argc, char** argv) {
  const auto generator = onestep::Generator::load(argc > 1 ? argv[1] : "fashion");
  onestep::Request request;
  request.seeds = {2026};
  const onestep::Canvas canvas(generator, request);
  const onestep::Rectangle all{0, 0, argc > 3 ? std::atoi(argv[2]) : 3840, argc > 3 ? std::atoi(argv[3]) : 2160};
  onestep::save_region(argc > 4 ? argv[4] : "wallpaper.png", canvas, all);
}
