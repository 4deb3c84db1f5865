#include "hwclock/phc.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <linux/ptp_clock.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <system_error>
#include <unistd.h>

namespace hwclock {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int64_t s_max = 9'000'000'000;  // beyond, ns do not fit
constexpr int busy_tries = 3;
constexpr std::size_t events_a_read = 16;
constexpr int reads_max = 8;  // a look; a pin that is never quiet must not keep us

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// Negative when it is no time.
std::int64_t ns_of(const ptp_clock_time& time) noexcept {
  if (time.sec < 0 || time.sec > s_max || time.nsec >= ns_per_s) return -1;
  return time.sec * ns_per_s + time.nsec;
}

std::int64_t ns_of(const timespec& time) noexcept {
  if (time.tv_sec < 0 || time.tv_sec > s_max) return -1;
  return time.tv_sec * ns_per_s + time.tv_nsec;
}

// The clock behind a descriptor: <linux/posix-timers.h> FD_TO_CLOCKID, which user space has to spell itself.
clockid_t clock_of(int fd) noexcept {
  constexpr unsigned clock_fd = 3;
  return static_cast<clockid_t>(~static_cast<unsigned>(fd) << 3U | clock_fd);
}

// Of errno, which it leaves alone.
std::string busy_advice() {
  return errno == EBUSY ? ", which another program uses; end that one (ts2phc, phc2sys -e, testptp), or name "
                          "another pin or channel"
                        : "";
}

bool is_lacking(int error) noexcept {
  return error == EOPNOTSUPP || error == ENOTTY || error == EINVAL || error == ENOSYS;
}

std::optional<CrossStamp> read_precise(int fd) noexcept {
  ptp_sys_offset_precise pair{};
  int result = -1;
  for (int i = 0; i < busy_tries; ++i) {
    result = ::ioctl(fd, PTP_SYS_OFFSET_PRECISE, &pair);
    if (result == 0 || errno != EBUSY) break;
  }
  if (result != 0) return std::nullopt;
  errno = 0;
  const CrossStamp stamp{ns_of(pair.device), ns_of(pair.sys_realtime), 1};
  if (stamp.phc_ns < 0 || stamp.clock_ns < 0) return std::nullopt;
  return stamp;
}

std::optional<CrossStamp> read_extended(int fd) noexcept {
  ptp_sys_offset_extended told{};
  told.n_samples = phc_readings;
  if (::ioctl(fd, PTP_SYS_OFFSET_EXTENDED, &told) != 0) return std::nullopt;
  errno = 0;
  std::array<PhcReading, phc_readings> readings;
  for (unsigned i = 0; i < phc_readings; ++i)
    readings[i] = {ns_of(told.ts[i][0]), ns_of(told.ts[i][1]), ns_of(told.ts[i][2])};
  return narrowest(readings);
}

std::optional<CrossStamp> read_basic(int fd) noexcept {
  ptp_sys_offset told{};
  told.n_samples = phc_readings;
  if (::ioctl(fd, PTP_SYS_OFFSET, &told) != 0) return std::nullopt;
  errno = 0;
  std::array<PhcReading, phc_readings> readings;
  for (unsigned i = 0; i < phc_readings; ++i)
    readings[i] = {ns_of(told.ts[2 * i]), ns_of(told.ts[2 * i + 1]), ns_of(told.ts[2 * i + 2])};
  return narrowest(readings);
}

std::optional<CrossStamp> read_by_gettime(int fd) noexcept {
  std::array<PhcReading, phc_readings> readings;
  for (PhcReading& reading : readings) {
    timespec before{}, phc{}, after{};
    if (::clock_gettime(CLOCK_REALTIME, &before) != 0 || ::clock_gettime(clock_of(fd), &phc) != 0 ||
        ::clock_gettime(CLOCK_REALTIME, &after) != 0) {
      return std::nullopt;
    }
    reading = {ns_of(before), ns_of(phc), ns_of(after)};
  }
  errno = 0;
  return narrowest(readings);
}

}  // namespace

std::optional<CrossStamp> narrowest(std::span<const PhcReading> readings) noexcept {
  std::optional<CrossStamp> best;
  for (const PhcReading& one : readings) {
    if (one.before_ns < 0 || one.phc_ns < 0 || one.after_ns < one.before_ns) continue;
    const std::int64_t half_width_ns = (one.after_ns - one.before_ns + 1) / 2;
    if (best && best->half_width_ns <= half_width_ns) continue;
    best = {one.phc_ns, one.before_ns + (one.after_ns - one.before_ns) / 2, half_width_ns};
  }
  return best;
}

Phc::Phc(const std::string& path) : path_(path), fd_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {
  if (fd_ < 0) {
    fail("the NIC's clock " + path +
         " cannot be opened; see that its driver is loaded (ethtool -T) and that uid " +
         std::to_string(::geteuid()) + " may read and write it");
  }
  ptp_clock_caps can{};
  if (::ioctl(fd_, PTP_CLOCK_GETCAPS, &can) == 0) return;
  const int error = errno;
  ::close(fd_);
  errno = error;
  fail(path + " is no clock of a NIC");
}

Phc::~Phc() { ::close(fd_); }

void Phc::watch_pin(std::uint32_t pin, std::uint32_t channel, PhcEdge edge) {
  ptp_clock_caps can{};
  if (::ioctl(fd_, PTP_CLOCK_GETCAPS, &can) != 0) fail(path_ + " does not tell what it can");
  if (channel >= static_cast<std::uint32_t>(can.n_ext_ts)) {
    errno = ENXIO;
    fail(path_ + " stamps edges on " + std::to_string(can.n_ext_ts) +
         " channels, counted from 0; name another one");
  }
  if (can.n_pins != 0) {  // without pins the channel is wired
    ptp_pin_desc function{};
    function.index = pin;
    function.func = PTP_PF_EXTTS;
    function.chan = channel;
    if (::ioctl(fd_, PTP_PIN_SETFUNC, &function) != 0)
      fail(path_ + " does not give its pin " + std::to_string(pin) + " to channel " +
           std::to_string(channel) + busy_advice());
  }
  ptp_extts_request request{};
  request.index = channel;
  const unsigned wanted = PTP_ENABLE_FEATURE | (edge == PhcEdge::rising ? PTP_RISING_EDGE : PTP_FALLING_EDGE);
  request.flags = wanted | PTP_STRICT_FLAGS;
  if (::ioctl(fd_, PTP_EXTTS_REQUEST2, &request) == 0) return;
  const std::string refusal = path_ + " does not stamp edges on channel " + std::to_string(channel);
  if (!is_lacking(errno)) fail(refusal + busy_advice());
  request.flags = wanted;  // an older driver promises no edge
  if (::ioctl(fd_, PTP_EXTTS_REQUEST, &request) != 0) fail(refusal + busy_advice());
}

int Phc::ask(PhcMethod method, std::optional<CrossStamp>& stamp) noexcept {
  errno = 0;
  switch (method) {
    case PhcMethod::precise:
      stamp = read_precise(fd_);
      break;
    case PhcMethod::extended:
      stamp = read_extended(fd_);
      break;
    case PhcMethod::basic:
      stamp = read_basic(fd_);
      break;
    case PhcMethod::gettime:
      stamp = read_by_gettime(fd_);
      break;
  }
  return stamp ? 0 : errno;
}

std::optional<CrossStamp> Phc::cross_stamp(int& error) noexcept {
  std::optional<CrossStamp> stamp;
  for (;;) {
    error = ask(method_, stamp);
    if (stamp || !is_lacking(error) || method_ == PhcMethod::gettime) break;
    method_ = static_cast<PhcMethod>(static_cast<std::uint8_t>(method_) + 1);
  }
  if (error == EBUSY || error == EAGAIN || error == EINTR || error == ETIMEDOUT) error = 0;
  return stamp;
}

std::vector<std::int64_t> Phc::edges(std::uint32_t channel, int& error) {
  std::vector<std::int64_t> found;
  error = 0;
  for (int i = 0; i < reads_max; ++i) {
    // The kernel's read waits, whatever O_NONBLOCK says.
    pollfd ready{fd_, POLLIN, 0};
    const int count = ::poll(&ready, 1, 0);
    if (count <= 0) break;
    if ((ready.revents & POLLIN) == 0) {
      error = ENODEV;
      break;
    }
    std::array<ptp_extts_event, events_a_read> events;
    const ssize_t octets = ::read(fd_, events.data(), sizeof events);
    if (octets < 0) {
      if (errno != EINTR && errno != EAGAIN) error = errno;
      break;
    }
    if (octets == 0) break;
    const std::size_t whole = static_cast<std::size_t>(octets) / sizeof(ptp_extts_event);
    if (static_cast<std::size_t>(octets) % sizeof(ptp_extts_event) != 0) ++dropped_edges_;
    for (const ptp_extts_event& event : std::span(events).first(std::min(whole, events_a_read))) {
      const std::int64_t ns = ns_of(event.t);
      if (event.index != channel || ns < 0 || ns == last_edge_ns_) {
        ++dropped_edges_;
        continue;
      }
      last_edge_ns_ = ns;
      found.push_back(ns);
    }
  }
  return found;
}

std::optional<std::int64_t> Phc::error_bound_ns() const {
  const std::filesystem::path name = std::filesystem::path(path_).filename();
  std::ifstream file(std::filesystem::path("/sys/class/ptp") / name / "device" / "phc_error_bound");
  std::int64_t bound_ns = -1;
  if (!(file >> bound_ns) || bound_ns < 0) return std::nullopt;
  return bound_ns;
}

}  // namespace hwclock
