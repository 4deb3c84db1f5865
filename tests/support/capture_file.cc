#include "tests/support/capture_file.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace tests {
namespace {

constexpr std::uint32_t magic = 0xa1b2c3d4;  // in the writer's octet order, which is ours
constexpr std::size_t file_header_bytes = 24;
constexpr std::size_t frame_header_bytes = 16;
constexpr std::size_t kept_offset = 8;

std::uint32_t load(const Octets& octets, std::size_t at) {
  std::uint32_t value;
  std::memcpy(&value, octets.data() + at, sizeof value);
  return value;
}

}  // namespace

std::vector<Octets> read_capture(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  const Octets octets(std::istreambuf_iterator<char>(stream), {});
  const auto refuse = [&] { throw std::runtime_error(file.native() + " is no capture of ours"); };
  if (octets.size() < file_header_bytes || load(octets, 0) != magic) refuse();
  std::vector<Octets> frames;
  std::size_t at = file_header_bytes;
  while (at < octets.size()) {
    if (octets.size() - at < frame_header_bytes) refuse();
    const std::size_t bytes = load(octets, at + kept_offset);
    at += frame_header_bytes;
    if (bytes > octets.size() - at) refuse();
    const auto begin = octets.begin() + static_cast<std::ptrdiff_t>(at);
    frames.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(bytes));
    at += bytes;
  }
  return frames;
}

}  // namespace tests
