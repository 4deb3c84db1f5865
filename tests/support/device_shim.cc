// Both names of open are defined here; with the 64-bit one as the default they would be one.
#undef _FILE_OFFSET_BITS

#include "tests/support/device_shim.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <linux/pps.h>
#include <linux/ptp_clock.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace device_shim {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr int none = -1;

std::atomic<int> ptp_fd{none};
std::atomic<int> pps_fd{none};
std::int64_t last_edge = 0;  // the last one that was told, counted in halves of pulses
std::int64_t repeats_left = 0;
bool is_watched = false;

std::int64_t realtime_ns() {
  timespec now{};
  ::syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  return now.tv_sec * ns_per_s + now.tv_nsec;
}

std::int64_t phc_at(std::int64_t real_ns) {
  const std::int64_t frozen = script().phc_frozen_at_ns;
  if (frozen != 0) return frozen;
  const auto passed_s = static_cast<double>(real_ns - script().phc_rate_since_ns) / 1e9;
  const auto gained_ns = static_cast<std::int64_t>(passed_s * static_cast<double>(script().phc_rate_ppb));
  return real_ns + script().phc_offset_ns + gained_ns;
}

ptp_clock_time wire_of(std::int64_t ns) {
  ptp_clock_time time{};
  time.sec = ns / ns_per_s;
  time.nsec = static_cast<std::uint32_t>(ns % ns_per_s);
  return time;
}

// The last pulse up to now, as a second of CLOCK_REALTIME.
std::int64_t pulse_s() { return (realtime_ns() - script().pulse_offset_ns) / ns_per_s; }

// The last edge up to now; a pulse begins with an even one.
constexpr std::int64_t pulse_width_ns = 100'000'000;
std::int64_t edge() {
  const std::int64_t into_ns = realtime_ns() - script().pulse_offset_ns - pulse_s() * ns_per_s;
  return 2 * pulse_s() + (script().both_edges != 0 && into_ns >= pulse_width_ns ? 1 : 0);
}
std::int64_t edge_ns(std::int64_t number) {
  return number / 2 * ns_per_s + number % 2 * pulse_width_ns + script().pulse_offset_ns;
}

// One after the other, as from the kernel's queue.
std::int64_t next_edge() { return script().both_edges != 0 ? last_edge + 1 : (last_edge / 2 + 1) * 2; }

bool has_event() {
  if (script().no_pulses != 0) last_edge = edge();  // what comes while the line is cut is lost
  if (!is_watched || script().no_pulses != 0) return false;
  return repeats_left > 0 || next_edge() <= edge();
}

int refuse(int error) {
  errno = error;
  return -1;
}

// 0, or -1 with errno: the script's troubles.
int trouble() {
  ++script().asked;
  if (script().error != 0) return refuse(static_cast<int>(script().error.load()));
  if (script().busy > 0) {
    --script().busy;
    return refuse(EBUSY);
  }
  return 0;
}

int answer_ptp(unsigned long request, void* argument) {
  switch (request) {
    case PTP_CLOCK_GETCAPS: {
      auto& can = *static_cast<ptp_clock_caps*>(argument);
      can = {};
      can.n_ext_ts = 2;
      can.n_pins = 2;
      return 0;
    }
    case PTP_PIN_SETFUNC:
      if (script().pins_busy != 0) return refuse(EBUSY);
      return static_cast<ptp_pin_desc*>(argument)->index < 2 ? 0 : refuse(EINVAL);
    case PTP_EXTTS_REQUEST2:
      if (script().no_strict_flags != 0) return refuse(EOPNOTSUPP);
      [[fallthrough]];
    case PTP_EXTTS_REQUEST:
      is_watched = true;
      last_edge = edge();
      return 0;
    case PTP_SYS_OFFSET_PRECISE: {
      if (script().methods_missing >= 1) return refuse(EOPNOTSUPP);
      if (trouble() != 0) return -1;
      script().answered_by = 0;
      auto& pair = *static_cast<ptp_sys_offset_precise*>(argument);
      const std::int64_t now = realtime_ns();
      pair.device = wire_of(phc_at(now));
      pair.sys_realtime = wire_of(now);
      return 0;
    }
    case PTP_SYS_OFFSET_EXTENDED: {
      if (script().methods_missing >= 2) return refuse(EOPNOTSUPP);
      if (trouble() != 0) return -1;
      script().answered_by = 1;
      auto& told = *static_cast<ptp_sys_offset_extended*>(argument);
      for (unsigned i = 0; i < told.n_samples; ++i) {
        const std::int64_t before = realtime_ns();
        const std::int64_t phc = phc_at(realtime_ns());
        told.ts[i][0] = wire_of(before);
        told.ts[i][1] = wire_of(phc);
        told.ts[i][2] = wire_of(realtime_ns());
      }
      return 0;
    }
    case PTP_SYS_OFFSET: {
      if (script().methods_missing >= 3) return refuse(ENOTTY);
      if (trouble() != 0) return -1;
      script().answered_by = 2;
      auto& told = *static_cast<ptp_sys_offset*>(argument);
      for (unsigned i = 0; i <= 2 * told.n_samples; ++i)
        told.ts[i] = wire_of(i % 2 == 0 ? realtime_ns() : phc_at(realtime_ns()));
      return 0;
    }
    default:
      return refuse(ENOTTY);
  }
}

int answer_pps(unsigned long request, void* argument) {
  switch (request) {
    case PPS_GETCAP:
      *static_cast<int*>(argument) = PPS_CAPTUREASSERT | PPS_TSFMT_TSPEC;
      return 0;
    case PPS_GETPARAMS:
      *static_cast<pps_kparams*>(argument) = {};
      return 0;
    case PPS_SETPARAMS:
      return 0;
    case PPS_FETCH: {
      if (trouble() != 0) return -1;
      if (script().no_pulses != 0) return refuse(ETIMEDOUT);
      const std::int64_t ns = pulse_s() * ns_per_s + script().pulse_offset_ns;
      auto& info = static_cast<pps_fdata*>(argument)->info;
      info = {};
      info.assert_sequence = static_cast<std::uint32_t>(pulse_s());
      info.assert_tu.sec = ns / ns_per_s;
      info.assert_tu.nsec = static_cast<std::int32_t>(ns % ns_per_s);
      return 0;
    }
    default:
      return refuse(ENOTTY);
  }
}

ssize_t read_events(void* room, std::size_t octets) {
  if (script().error != 0) return refuse(static_cast<int>(script().error.load()));
  if (repeats_left > 0) {
    --repeats_left;
  } else {
    last_edge = next_edge();
    repeats_left = script().duplicates;
  }
  ptp_extts_event event{};
  event.t = wire_of(phc_at(edge_ns(last_edge)));
  std::size_t count = std::min(octets, sizeof event);
  if (script().short_reads > 0) {
    --script().short_reads;
    count = std::min(count, sizeof event / 2);
  }
  std::memcpy(room, &event, count);
  return static_cast<ssize_t>(count);
}

}  // namespace

Script& script() {
  static Script* const mapped = [] {
    static Script own{};
    const char* path = std::getenv("NOONMARK_DEVICES");
    if (path == nullptr) return &own;
    const auto file = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC));
    void* room = ::mmap(nullptr, sizeof(Script), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::syscall(SYS_close, file);
    if (room == MAP_FAILED) std::abort();
    return static_cast<Script*>(room);
  }();
  return *mapped;
}

namespace {

int open_device(const char* path, int flags, mode_t mode) {
  const bool is_ptp = std::strcmp(path, "/dev/ptp0") == 0;
  if (!is_ptp && std::strcmp(path, "/dev/pps0") != 0)
    return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
  const int fd = ::eventfd(0, EFD_CLOEXEC);
  (is_ptp ? ptp_fd : pps_fd) = fd;
  return fd;
}

}  // namespace
}  // namespace device_shim

// libc declares poll's first argument as one that is only written to.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

using namespace device_shim;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_device(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_device(path, flags, mode);
}

int close(int fd) {
  if (fd >= 0 && fd == ptp_fd) ptp_fd = none;
  if (fd >= 0 && fd == pps_fd) pps_fd = none;
  return static_cast<int>(::syscall(SYS_close, fd));
}

int ioctl(int fd, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void* argument = va_arg(rest, void*);
  va_end(rest);
  if (fd >= 0 && fd == ptp_fd) return answer_ptp(request, argument);
  if (fd >= 0 && fd == pps_fd) return answer_pps(request, argument);
  return static_cast<int>(::syscall(SYS_ioctl, fd, request, argument));
}

int poll(pollfd* waited, nfds_t count, int timeout_ms) {
  if (count != 1 || waited->fd < 0 || waited->fd != ptp_fd)
    return static_cast<int>(::syscall(SYS_poll, waited, count, timeout_ms));
  waited->revents = has_event() ? POLLIN : 0;
  return waited->revents != 0 ? 1 : 0;
}

ssize_t read(int fd, void* room, std::size_t octets) {
  if (fd >= 0 && fd == ptp_fd) return read_events(room, octets);
  return ::syscall(SYS_read, fd, room, octets);
}

int clock_gettime(clockid_t clock, timespec* time) {
  constexpr unsigned clock_fd = 3;
  const int fd = ptp_fd;
  if (fd < 0 || clock != static_cast<clockid_t>(~static_cast<unsigned>(fd) << 3U | clock_fd))
    return static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
  if (trouble() != 0) return -1;
  script().answered_by = 3;
  const std::int64_t ns = phc_at(realtime_ns());
  *time = {ns / ns_per_s, ns % ns_per_s};
  return 0;
}

}  // extern "C"
