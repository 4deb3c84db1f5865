#include "hwclock/kernel_pps.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/pps.h>
#include <sys/ioctl.h>
#include <system_error>
#include <unistd.h>

namespace hwclock {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;

[[noreturn]] void fail(int fd, const std::string& what) {
  const int error = errno;
  if (fd >= 0) ::close(fd);
  throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

int open_kernel_pps(const std::string& path, PpsEdge edge) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    fail(fd, "the pulse input " + path + " cannot be opened; see that its driver is loaded (ppstest " + path +
                 ") and that uid " + std::to_string(::geteuid()) + " may read and write it");
  }
  int can = 0;
  if (::ioctl(fd, PPS_GETCAP, &can) != 0) fail(fd, path + " is no PPS source");
  const int capture = edge == PpsEdge::assert ? PPS_CAPTUREASSERT : PPS_CAPTURECLEAR;
  if ((can & capture) == 0) {
    errno = EOPNOTSUPP;
    fail(fd, path + " does not see that edge of the pulse; name the other one");
  }
  pps_kparams settings{};
  if (::ioctl(fd, PPS_GETPARAMS, &settings) != 0) fail(fd, path + " does not tell how it is set");
  if ((settings.mode & capture) == 0) {
    settings.mode |= capture;
    settings.mode |= PPS_TSFMT_TSPEC;
    if (::ioctl(fd, PPS_SETPARAMS, &settings) != 0)
      fail(fd, path + " cannot be told to see that edge of the pulse");
  }
  return fd;
}

std::optional<PpsEvent> last_pps_event(int fd, PpsEdge edge, int& error) noexcept {
  pps_fdata data{};  // a timeout of 0: what is there
  error = 0;
  if (::ioctl(fd, PPS_FETCH, &data) != 0) {
    if (errno != ETIMEDOUT && errno != EAGAIN && errno != EINTR) error = errno;
    return std::nullopt;
  }
  const bool is_assert = edge == PpsEdge::assert;
  const pps_ktime& time = is_assert ? data.info.assert_tu : data.info.clear_tu;
  const std::uint32_t sequence = is_assert ? data.info.assert_sequence : data.info.clear_sequence;
  if (sequence == 0 || time.sec < 0 || time.nsec < 0 || time.nsec >= ns_per_s) return std::nullopt;
  return PpsEvent{time.sec * ns_per_s + time.nsec, sequence};
}

}  // namespace hwclock
