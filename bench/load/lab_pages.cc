// Makes what a noonmark-dataplane needs to serve without the control plane, for bench/line-rate: settings,
// one fresh key and a clock that follows this machine's, as pages; and beside them a session under that key.
//
//   load-lab-pages DIRECTORY DEVICE CORE SESSION_FILE
//
// DIRECTORY must be on a tmpfs. The clock is this machine's own, good for an hour.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>

#include "bench/load/local_clock.h"
#include "bench/load/session.h"
#include "dataplane/random_pool.h"
#include "dataplane/service.h"
#include "dataplane/shm/segment.h"
#include "hwclock/tsc.h"

namespace {

constexpr std::array<std::uint8_t, 4> server_ipv4 = {10, 99, 0, 1};
constexpr std::array<std::uint8_t, 16> server_ipv6 = {0xfd, 0x99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

shm::Address address_of(std::span<const std::uint8_t> octets) {
  shm::Address address{};
  address.family = octets.size() == 4 ? 4 : 6;
  address.prefix_bits = octets.size() == 4 ? 8 : 64;
  std::memcpy(address.octets, octets.data(), octets.size());
  return address;
}

shm::Settings settings_of(const std::string& device, std::uint32_t core) {
  shm::Settings settings{};
  settings.revision = settings.device_count = settings.core_count = 1;
  settings.ntp_port = 123;
  settings.answer_plain = settings.answer_nts = 1;
  settings.cores[0] = core;
  settings.host_twin = shm::HostTwin::none;
  if (device.size() >= sizeof settings.devices[0]) throw std::runtime_error("the device's name is too long");
  std::memcpy(settings.devices[0], device.data(), device.size());
  settings.addresses[settings.address_count++] = address_of(server_ipv4);
  settings.addresses[settings.address_count++] = address_of(server_ipv6);
  return settings;
}

std::uint64_t measured_tsc_hz() {
  const auto begin = std::chrono::steady_clock::now();
  const std::uint64_t begin_tsc = hwclock::read_tsc_in_order();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const std::uint64_t end_tsc = hwclock::read_tsc_in_order();
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  return static_cast<std::uint64_t>(static_cast<double>(end_tsc - begin_tsc) / passed.count());
}

void make_pages(const std::filesystem::path& directory, const std::string& device, std::uint32_t core,
                const std::filesystem::path& session_file) {
  shm::require_tmpfs(directory);
  for (const char* writer : {"keeper", "clock", "admin", "dataplane"}) {
    std::filesystem::create_directory(directory / writer);
  }
  const nts::siv::Kernels* tier = nts::siv::choose_tier();
  if (tier == nullptr) throw std::runtime_error("AES-SIV gives wrong answers on this machine");
  dataplane::RandomPool random(*tier);
  nts::KeyRing ring{};
  ring.generation = ring.current_id = 1;
  nts::RingKey& key = ring.slots[ring.current_id % nts::ring_keys_max];
  key.id = ring.current_id;
  key.state = nts::KeyState::current;
  random.fill(key.key);
  const gid_t group = getegid();
  shm::Segment<shm::KeysPage>::open_writable(directory, group)->ring.publish(ring);
  shm::Segment<shm::ClockPage>::open_writable(directory, group)
      ->clock.publish(bench::load::local_clock(measured_tsc_hz()));
  shm::Segment<shm::SettingsPage>::open_writable(directory, group)
      ->settings.publish(settings_of(device, core));
  bench::load::write_session(session_file, bench::load::session_under(ring, *tier, random));
}

}  // namespace

int main(int count, char** words) {
  if (count != 5) {
    std::fputs("usage: load-lab-pages DIRECTORY DEVICE CORE SESSION_FILE\n", stderr);
    return 2;
  }
  try {
    make_pages(words[1], words[2], static_cast<std::uint32_t>(std::stoul(words[3])), words[4]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "load-lab-pages: %s\n", error.what());
    return 1;
  }
  return 0;
}
