// A clock page with anything written over it: what is told clients is never a time that the state does not
// stand behind, and never in contradiction with itself.
#include <cstring>
#include <memory>

#include "control/status.h"
#include "dataplane/served_clock.h"
#include "tests/fuzz/target.h"

namespace fuzz {
namespace {

constexpr std::uint64_t hz = 2'000'000'000;

hwclock::ClockState good_state() {
  hwclock::ClockState good{};
  good.tsc0 = 1'000 * hz;
  good.ntp0 = 0xe000000000000000;
  good.mult = static_cast<std::uint64_t>((static_cast<hwclock::Int128>(1) << 92) / hz);
  good.tsc_hz = hz;
  good.valid_until = good.tsc0 + 100 * hz;
  good.reference_ntp = good.ntp0 - (1ULL << 32);
  good.dispersion0_ns = 1'000;
  good.dispersion_rate_ppb = 15'000;
  good.mono = {{good.tsc0, good.ntp0, good.mult}, 7, 0};
  good.state = hwclock::State::locked;
  good.source = hwclock::Source::system;
  good.stratum = 1;
  good.precision = -25;
  std::strcpy(good.source_name, "fuzz");
  return good;
}

void require_reading(dataplane::ServedClock& clock, std::uint64_t tsc) {
  const nts::ClockReading reading = clock.reading(tsc);
  require(reading.leap <= 3 && reading.stratum <= 15, "leap and stratum are in range");
  require((reading.leap == 3) == (reading.stratum == 0), "unsynchronised is leap 3 and stratum 0");
  require(reading.leap == 3 || nts::difference(clock.at(tsc), reading.reference) >= 0,
          "P41: the reference time is never after now");
  const nts::ClockReading smeared = clock.smeared(reading, tsc);
  require((smeared.leap == 3) == (smeared.stratum == 0), "smeared: unsynchronised is leap 3 and stratum 0");
  require(smeared.leap == 0 || smeared.leap == 3, "smeared time is never told a leap");
  for (const bool is_smeared : {false, true}) {
    const nts::MonoRoot root = is_smeared ? clock.smeared_mono_root(tsc) : clock.mono_root(tsc);
    const nts::ClockReading& coarse = is_smeared ? smeared : reading;
    const bool is_known = coarse.leap != 3 && coarse.stratum != 0;
    require(is_known || (root.root_dispersion == 0xffffffff && root.received == nts::NtpTime{}),
            "what the header does not know the field of mono_root.h does not tell");
    require(root.root_dispersion == 0xffffffff || root.root_dispersion / 4096 <= coarse.root_dispersion,
            "the finer dispersion is within the coarse one");
  }
}

void run(Input input) {
  Reader reader(input);
  const std::uint64_t ticks = reader.number64();
  const std::uint64_t more_ticks = reader.number64();
  const auto page = std::make_unique<shm::ClockPage>();
  const hwclock::ClockState good = good_state();
  dataplane::ServedClock clock(hz, good.tsc0);
  require_reading(clock, good.tsc0);
  page->clock.publish(good);
  clock.refresh(page.get());
  require(clock.reading(good.tsc0).stratum == 1, "a good state is served");
  patch({reinterpret_cast<std::uint8_t*>(page.get()), sizeof *page}, reader);
  clock.refresh(page.get());
  require_reading(clock, good.tsc0 + ticks);
  require_reading(clock, good.tsc0 + ticks + more_ticks);

  hwclock::ClockState state{};
  std::uint64_t generation = 0;
  if (!page->clock.read(state, generation)) return;
  static_cast<void>(control::clock_status(&state, good.tsc0 + ticks).dump());
  if (!hwclock::is_valid(state)) return;
  const std::uint64_t early = hwclock::dispersion_ns_at(state, state.tsc0 + ticks / 4);
  const std::uint64_t late = hwclock::dispersion_ns_at(state, state.tsc0 + ticks / 4 + more_ticks / 4);
  require(early <= late, "an error never shrinks without news");
  require(early >= state.dispersion0_ns || early == INT64_MAX, "nor below what was published");
}

std::vector<Octets> seeds() {
  constexpr std::size_t state_offset = sizeof(shm::PageHeader) + 8;
  const auto at = [](std::uint8_t seconds, std::size_t field, const Octets& octets) {
    Octets made = {0, 0, 0, seconds, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
    for (const Octets& one :
         {patch_of(sizeof(shm::PageHeader), {4}), patch_of(state_offset + field, octets)}) {
      made.insert(made.end(), one.begin(), one.end());
    }
    return made;
  };
  using State = hwclock::ClockState;
  return {at(1, offsetof(State, stratum), {2}),
          at(200, offsetof(State, leap), {1}),
          at(1, offsetof(State, mult), Octets(8, 0)),
          at(1, offsetof(State, valid_until), Octets(8, 0xff)),
          at(1, offsetof(State, reference_ntp), Octets(8, 0xff)),
          at(9, offsetof(State, dispersion_rate_ppb), Octets(8, 0xff)),
          at(1, offsetof(State, state), {5}),
          at(1, offsetof(State, smear) + offsetof(hwclock::ServedSmear, valid_until), Octets(8, 0x7f)),
          at(1, offsetof(State, smear) + offsetof(hwclock::ServedSmear, off_ns), Octets(8, 0xff)),
          at(1, offsetof(State, mono) + offsetof(hwclock::ServedMono, line.mult), Octets(8, 0x01)),
          at(1, offsetof(State, source_name), Octets(32, 'x'))};
}

const Registration registration({"clock_page", run, seeds});

}  // namespace
}  // namespace fuzz
