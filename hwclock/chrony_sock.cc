#include "hwclock/chrony_sock.h"

#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>

namespace hwclock {
namespace {

constexpr std::int32_t magic = 0x534f434b;
constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int64_t ns_per_us = 1000;
constexpr std::int64_t seconds_max = std::int64_t{1} << 33;  // the year 2242
constexpr double offset_s_max = 4e9;

struct Wire {
  timeval time;
  double offset_s;
  std::int32_t pulse;
  std::int32_t leap;
  std::int32_t padding;
  std::int32_t magic;
};
static_assert(sizeof(Wire) == sock_sample_bytes);

[[noreturn]] void fail(int fd, const std::string& what) {
  const int error = errno;
  if (fd >= 0) ::close(fd);
  throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

std::optional<SockSample> read_sock_sample(std::span<const std::uint8_t> datagram) noexcept {
  if (datagram.size() != sock_sample_bytes) return std::nullopt;
  Wire wire{};
  std::memcpy(&wire, datagram.data(), sizeof wire);
  const bool is_time = wire.time.tv_sec >= 0 && wire.time.tv_sec < seconds_max && wire.time.tv_usec >= 0 &&
                       wire.time.tv_usec < ns_per_s / ns_per_us;
  if (wire.magic != magic || !is_time || !(std::fabs(wire.offset_s) < offset_s_max)) return std::nullopt;
  if (wire.leap < 0 || wire.leap > 3) return std::nullopt;
  // Of a pulse the seconds of the offset do not count; of anything else the sum is a time, and has to be one.
  const double named_s = static_cast<double>(wire.time.tv_sec) + wire.offset_s;
  const bool names_a_time = named_s >= 0.0 && named_s < static_cast<double>(seconds_max);
  if (wire.pulse == 0 && !names_a_time) return std::nullopt;
  return SockSample{wire.time.tv_sec * ns_per_s + wire.time.tv_usec * ns_per_us, wire.offset_s * 1e9,
                    wire.pulse != 0, static_cast<std::uint32_t>(wire.leap)};
}

int open_sock(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    fail(-1, "the socket " + path + " has too long a name");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  struct stat there {};
  if (::lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) {
      errno = EEXIST;
      fail(-1, path + " is no socket, and is not replaced; name another path or remove it");
    }
    if (::unlink(path.c_str()) != 0) fail(-1, "the old socket " + path + " cannot be removed");
  }
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail(fd, "no socket for " + path);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail(fd, "the socket " + path + " cannot be made; see that its directory is there and writable for uid " +
                 std::to_string(::geteuid()));
  }
  constexpr mode_t owner_and_group = 0660;
  if (::chmod(path.c_str(), owner_and_group) != 0) fail(fd, "the socket " + path + " does not take its mode");
  return fd;
}

std::optional<SockSample> receive_sock_sample(int fd, bool& is_empty) noexcept {
  std::array<std::uint8_t, sock_sample_bytes + 1> room{};  // one more, to see that a datagram is longer
  const ssize_t got = ::recv(fd, room.data(), room.size(), 0);
  is_empty = got < 0;
  if (got < 0) return std::nullopt;
  return read_sock_sample(std::span(room).first(static_cast<std::size_t>(got)));
}

}  // namespace hwclock
