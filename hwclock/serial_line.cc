#include "hwclock/serial_line.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <system_error>
#include <termios.h>
#include <unistd.h>
#include <utility>

namespace hwclock {
namespace {

constexpr std::array<std::pair<std::uint32_t, speed_t>, 9> speeds{{{4800, B4800},
                                                                   {9600, B9600},
                                                                   {19200, B19200},
                                                                   {38400, B38400},
                                                                   {57600, B57600},
                                                                   {115200, B115200},
                                                                   {230400, B230400},
                                                                   {460800, B460800},
                                                                   {921600, B921600}}};

const std::pair<std::uint32_t, speed_t>* find_speed(std::uint32_t baud) noexcept {
  const auto* found =
      std::find_if(speeds.begin(), speeds.end(), [&](const auto& one) { return one.first == baud; });
  return found == speeds.end() ? nullptr : found;
}

[[noreturn]] void fail(int fd, const std::string& what) {
  const int error = errno;
  if (fd >= 0) ::close(fd);
  throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

bool is_baud(std::uint32_t baud) noexcept { return find_speed(baud) != nullptr; }

int open_serial_line(const std::string& path, std::uint32_t baud) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0)
    fail(fd, "the receiver's line " + path + " cannot be opened; see that it is there and readable for uid " +
                 std::to_string(::geteuid()));
  termios line{};
  if (::tcgetattr(fd, &line) != 0) fail(fd, path + " is no serial line");
  ::cfmakeraw(&line);
  line.c_cflag |= CLOCAL | CREAD;  // no modem lines: those are the pulse's
  const auto* speed = find_speed(baud);
  if (speed != nullptr &&
      (::cfsetispeed(&line, speed->second) != 0 || ::cfsetospeed(&line, speed->second) != 0)) {
    fail(fd, path + " does not take " + std::to_string(baud) + " baud");
  }
  if (::tcsetattr(fd, TCSANOW, &line) != 0) fail(fd, path + " does not take its settings");
  static_cast<void>(::tcflush(fd, TCIFLUSH));  // what lay there is of no known time
  return fd;
}

LineRead read_line(int fd, std::span<std::uint8_t> room, std::size_t& count) noexcept {
  count = 0;
  const ssize_t got = ::read(fd, room.data(), room.size());
  if (got > 0) {
    count = static_cast<std::size_t>(got);
    return LineRead::octets;
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return LineRead::nothing;
  return LineRead::gone;  // end of file, or EIO from a pty whose master closed
}

}  // namespace hwclock
