#include "hwclock/ntp_shm.h"

#include <atomic>
#include <cerrno>
#include <sys/shm.h>
#include <system_error>

namespace hwclock {
namespace {

constexpr key_t first_key = 0x4e545030;
constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int32_t us_per_s = 1'000'000;
constexpr std::int64_t seconds_max = std::int64_t{1} << 33;

// Nanoseconds are there when they agree with the microseconds; older writers leave them 0.
std::optional<std::int64_t> time_of(std::int64_t seconds, std::int32_t us, std::uint32_t ns) noexcept {
  if (seconds < 0 || seconds >= seconds_max || us < 0 || us >= us_per_s) return std::nullopt;
  const bool has_ns = ns / 1000 == static_cast<std::uint32_t>(us);
  return seconds * ns_per_s + (has_ns ? static_cast<std::int64_t>(ns) : std::int64_t{us} * 1000);
}

}  // namespace

std::optional<ShmSample> take_shm_sample(ShmTime& shared) noexcept {
  if (shared.valid == 0) return std::nullopt;
  const std::int32_t count = shared.count;
  std::atomic_thread_fence(std::memory_order_acquire);
  const ShmTime copy{shared.mode,
                     0,
                     shared.clock_s,
                     shared.clock_us,
                     0,
                     shared.receive_s,
                     shared.receive_us,
                     shared.leap,
                     shared.precision,
                     0,
                     0,
                     shared.clock_ns,
                     shared.receive_ns,
                     {}};
  std::atomic_thread_fence(std::memory_order_acquire);
  const bool is_torn = copy.mode == 1 && shared.count != count;
  shared.valid = 0;
  if (is_torn || copy.mode < 0 || copy.mode > 1 || copy.leap < 0 || copy.leap > 3) return std::nullopt;
  const auto reference = time_of(copy.clock_s, copy.clock_us, copy.clock_ns);
  const auto clock = time_of(copy.receive_s, copy.receive_us, copy.receive_ns);
  if (!reference || !clock) return std::nullopt;
  return ShmSample{*clock, *reference, copy.precision, static_cast<std::uint32_t>(copy.leap)};
}

ShmTime* attach_ntp_shm(std::uint32_t unit) {
  constexpr std::uint32_t private_units = 2;
  const int mode = unit < private_units ? 0600 : 0666;
  const int id = ::shmget(first_key + static_cast<key_t>(unit), sizeof(ShmTime), IPC_CREAT | mode);
  if (id < 0) {
    throw std::system_error(
        errno, std::generic_category(),
        "NTP's shared memory unit " + std::to_string(unit) +
            " cannot be attached; see `ipcs -m` for who owns it, and take unit 2 or higher "
            "when its writer is not root");
  }
  void* place = ::shmat(id, nullptr, 0);
  if (place == reinterpret_cast<void*>(-1)) {
    throw std::system_error(errno, std::generic_category(),
                            "NTP's shared memory unit " + std::to_string(unit) + " cannot be mapped");
  }
  return static_cast<ShmTime*>(place);
}

}  // namespace hwclock
