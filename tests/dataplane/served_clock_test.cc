// The clock page as the wire sees it: rows B10-B13 and G15 without a port and without waiting, because the
// TSC is a number here.
#include "dataplane/served_clock.h"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <random>

#include "dataplane/departure.h"

namespace {

using dataplane::ServedClock;
using nts::ClockReading;

constexpr std::uint64_t hz = 2'000'000'000;
constexpr std::uint64_t start_tsc = 1'000 * hz;

hwclock::ClockState good_state(std::uint64_t tsc0 = start_tsc) {
  hwclock::ClockState state{};
  state.tsc0 = tsc0;
  state.ntp0 = 0xee000000'00000000;
  state.tsc_hz = hz;
  state.mult = static_cast<std::uint64_t>((static_cast<hwclock::Int128>(1) << 92) / hz);
  state.valid_until = tsc0 + 1000 * hz;
  state.reference_ntp = state.ntp0 - (std::uint64_t{5} << 32);
  state.root_delay_ns = 1'000'000;
  state.dispersion0_ns = 2'000'000;
  state.dispersion_rate_ppb = 15'000;
  state.state = hwclock::State::locked;
  state.source = hwclock::Source::pps;
  state.stratum = 1;
  state.reference_id = 0x50505300;
  state.precision = -25;
  return state;
}

void expect_unsynchronised(const ClockReading& reading, std::uint32_t why) {
  EXPECT_EQ(reading.leap, 3);
  EXPECT_EQ(reading.stratum, 0) << "never a stale stratum";
  EXPECT_EQ(reading.reference_id, why);
  EXPECT_EQ(reading.root_dispersion, 0xffffffff) << "and never a stale promise";
}

class ServedClockTest : public testing::Test {
 protected:
  void publish(const hwclock::ClockState& state) {
    page_->clock.publish(state);
    clock_.refresh(page_.get());
  }
  // The generation stands in front of the words: as a writer leaves it that died, or is not done.
  void tear() {
    auto& generation = reinterpret_cast<std::atomic<std::uint64_t>&>(page_->clock);
    generation.store(generation.load() + 1);
  }

  std::unique_ptr<shm::ClockPage> page_ = std::make_unique<shm::ClockPage>();
  ServedClock clock_{hz, start_tsc};
};

TEST_F(ServedClockTest, B10_P42_SaysInitUntilThereIsAStateThatItUnderstands) {
  expect_unsynchronised(clock_.reading(start_tsc), dataplane::refid_init);
  clock_.refresh(page_.get());
  expect_unsynchronised(clock_.reading(start_tsc), dataplane::refid_init);
  publish(good_state());
  EXPECT_EQ(clock_.reading(start_tsc).leap, 0);
  EXPECT_EQ(clock_.reading(start_tsc).stratum, 1);
}

TEST_F(ServedClockTest, B10_ATornFirstStateIsNoneAndATornLaterOneLeavesTheOneBefore) {
  page_->clock.publish(good_state());
  tear();
  clock_.refresh(page_.get());
  expect_unsynchronised(clock_.reading(start_tsc), dataplane::refid_init);

  hwclock::ClockState healed = good_state();
  publish(healed);
  EXPECT_EQ(clock_.reading(start_tsc).stratum, 1);
  tear();
  clock_.refresh(page_.get());
  EXPECT_EQ(clock_.reading(start_tsc + hz).stratum, 1);
  expect_unsynchronised(clock_.reading(healed.valid_until + 1), dataplane::refid_holdover_over);
}

TEST_F(ServedClockTest, B10_AStateThatSaysUnsynchronisedIsServedAsSuchWhateverItsStratum) {
  hwclock::ClockState state = good_state();
  state.leap = 3;
  publish(state);
  expect_unsynchronised(clock_.reading(start_tsc), dataplane::refid_init);
  state.state = hwclock::State::alarm;
  publish(state);
  expect_unsynchronised(clock_.reading(start_tsc), dataplane::refid_alarm);
  state.state = hwclock::State::holdover;
  state.stratum = 0;
  publish(state);
  expect_unsynchronised(clock_.reading(start_tsc), dataplane::refid_init);
}

TEST_F(ServedClockTest, B10_G15_IsBelievedUntilValidUntilAndNotOneTickLonger) {
  const hwclock::ClockState state = good_state();
  publish(state);
  EXPECT_EQ(clock_.reading(state.valid_until).leap, 0);
  expect_unsynchronised(clock_.reading(state.valid_until + 1), dataplane::refid_holdover_over);
}

TEST_F(ServedClockTest, B10_ATscThatWasPutBackVoidsTheStateForGood) {
  publish(good_state());
  EXPECT_EQ(clock_.reading(start_tsc + 500 * hz).leap, 0);
  EXPECT_EQ(clock_.reading(start_tsc + 500 * hz - hz).leap, 0) << "another core may be a little behind";
  EXPECT_EQ(clock_.reading(start_tsc + 500 * hz).leap, 0);
  // Back by more than a second, and still behind tsc0: only the jump tells.
  expect_unsynchronised(clock_.reading(start_tsc + 499 * hz - 1), dataplane::refid_holdover_over);
  for (const std::uint64_t later : {499U, 500U, 501U, 900U}) {
    expect_unsynchronised(clock_.reading(start_tsc + later * hz), dataplane::refid_holdover_over);
  }
  publish(good_state(start_tsc + 499 * hz));
  EXPECT_EQ(clock_.reading(start_tsc + 499 * hz).leap, 0) << "a new publication is believed";
}

TEST_F(ServedClockTest, B10_AStateThatWasVoidIsNotBelievedWhenTheCountComesByAgain) {
  const hwclock::ClockState state = good_state();
  publish(state);
  expect_unsynchronised(clock_.reading(start_tsc - 2 * hz), dataplane::refid_holdover_over);
  expect_unsynchronised(clock_.reading(start_tsc + 1), dataplane::refid_holdover_over);
  publish(state);
  EXPECT_EQ(clock_.reading(state.valid_until).leap, 0);
  expect_unsynchronised(clock_.reading(state.valid_until + 1), dataplane::refid_holdover_over);
  expect_unsynchronised(clock_.reading(state.valid_until), dataplane::refid_holdover_over);
}

TEST_F(ServedClockTest, APageThatIsNotThereLeavesTheStateThatWas) {
  publish(good_state());
  clock_.refresh(nullptr);
  EXPECT_EQ(clock_.reading(start_tsc).reference_id, 0x50505300U);
}

TEST_F(ServedClockTest, G15_AStateWithAnyFieldOutOfRangeIsRefusedAndTheLastGoodOneStays) {
  using State = hwclock::ClockState;
  const std::vector<std::pair<const char*, void (*)(State&)>> faults = {
      {"no rate", [](State& s) { s.mult = 0; }},
      {"a rate far off", [](State& s) { s.mult *= 2; }},
      {"no frequency", [](State& s) { s.tsc_hz = 0; }},
      {"leap 4", [](State& s) { s.leap = 4; }},
      {"stratum 16", [](State& s) { s.stratum = 16; }},
      {"synchronised at stratum 0", [](State& s) { s.stratum = 0; }},
      {"unknown state", [](State& s) { s.state = static_cast<hwclock::State>(99); }},
      {"unknown source", [](State& s) { s.source = static_cast<hwclock::Source>(99); }},
      {"a line at another rate", [](State& s) { s.mono.line.mult = s.mult / 2; }},
      {"precision", [](State& s) { s.precision = 100; }},
      {"name without end", [](State& s) { std::memset(s.source_name, 'x', sizeof s.source_name); }}};
  publish(good_state());
  for (const auto& [name, spoil] : faults) {
    hwclock::ClockState state = good_state();
    state.reference_id = 0x58585858;
    spoil(state);
    publish(state);
    EXPECT_EQ(clock_.reading(start_tsc).reference_id, 0x50505300U) << name;
  }
}

// DESIGN.md: the advertised error grows by the model while the clock role is dead.
TEST_F(ServedClockTest, B12_RootDispersionGrowsAtTheDeclaredRateUntilTheEnd) {
  const hwclock::ClockState state = good_state();
  publish(state);
  std::uint32_t last = 0;
  for (std::uint64_t s = 0; s <= 1000; ++s) {
    const std::uint32_t dispersion = clock_.reading(start_tsc + s * hz).root_dispersion;
    const double least_s = 2e-3 + 15e-6 * static_cast<double>(s);
    EXPECT_GE(dispersion / 65536.0, least_s - 1e-12) << s << ": never understated";
    EXPECT_LE(dispersion / 65536.0, least_s + 2.0 / 65536) << s;
    EXPECT_GE(dispersion, last);
    last = dispersion;
  }
  EXPECT_GE(last, 983U) << "15 ms in 1000 s are 983 steps of 2^-16 s";
}

// What chrony's field 0xF323 tells: the page's bound within 4 ns, where the header's has steps of 15 us.
TEST_F(ServedClockTest, TheMonoRootIsFinerThanTheHeaderAndNeverBelowThePage) {
  hwclock::ClockState state = good_state();
  state.root_delay_ns = 217;
  state.dispersion0_ns = 345;
  state.dispersion_rate_ppb = 3;
  state.mono = {{start_tsc, 0xabcdef01'00000000, state.mult}, 0x1234, 0};
  publish(state);
  for (std::uint64_t s = 0; s <= 1000; s += 7) {
    const std::uint64_t tsc = start_tsc + s * hz;
    const ClockReading reading = clock_.reading(tsc);
    const nts::MonoRoot root = clock_.mono_root(tsc);
    const double fine_ns = root.root_dispersion / 0x1p28 * 1e9;
    EXPECT_GE(fine_ns, static_cast<double>(hwclock::dispersion_ns_at(state, tsc)));
    EXPECT_LE(fine_ns, static_cast<double>(hwclock::dispersion_ns_at(state, tsc)) + 4.0);
    EXPECT_GE(reading.root_dispersion / 65536.0 * 1e9, fine_ns);
    EXPECT_GE(root.root_delay / 0x1p28 * 1e9, 217.0);
    EXPECT_LE(root.root_delay / 0x1p28 * 1e9, 221.0);
    EXPECT_EQ(root.received.units, hwclock::ntp_at(state.mono.line, tsc));
    EXPECT_EQ(root.epoch, 0x1234U);
  }
}

TEST_F(ServedClockTest, TheMonoRootTellsNothingWhenTheHeaderDoesNot) {
  const auto expect_nothing = [&](std::uint64_t tsc) {
    static_cast<void>(clock_.reading(tsc));
    const nts::MonoRoot root = clock_.mono_root(tsc);
    EXPECT_EQ(root.root_delay, 0xffffffffU);
    EXPECT_EQ(root.root_dispersion, 0xffffffffU);
    EXPECT_EQ(root.received.units, 0U);
    EXPECT_EQ(root.epoch, 0U);
  };
  expect_nothing(start_tsc);
  hwclock::ClockState state = good_state();
  state.mono = {{start_tsc, 1, state.mult}, 9, 0};
  publish(state);
  EXPECT_EQ(clock_.mono_root(start_tsc).epoch, 9U);
  expect_nothing(state.valid_until + 1);
  state.leap = 3;
  publish(state);
  expect_nothing(start_tsc);
  state = good_state();
  publish(state);
  static_cast<void>(clock_.reading(start_tsc));
  EXPECT_EQ(clock_.mono_root(start_tsc).received.units, 0U) << "an engine without a rate has no line";
  EXPECT_NE(clock_.mono_root(start_tsc).root_dispersion, 0xffffffffU) << "and a bound nevertheless";
}

TEST_F(ServedClockTest, B14_SmearedAddressesHearOfNoLineWhileTheyAreToldAnotherRate) {
  hwclock::ClockState state = good_state();
  state.mono = {{start_tsc, 1, state.mult}, 9, 0};
  publish(state);
  EXPECT_EQ(clock_.smeared_mono_root(start_tsc).epoch, 9U) << "outside the window they are like the others";
  state.smear.line = {start_tsc, state.ntp0, state.mult};
  state.smear.valid_until = start_tsc + 10 * hz;
  state.smear.off_ns = 500'000'000;
  publish(state);
  static_cast<void>(clock_.reading(start_tsc));
  const nts::MonoRoot root = clock_.smeared_mono_root(start_tsc);
  EXPECT_EQ(root.received.units, 0U);
  EXPECT_EQ(root.epoch, 0U);
  EXPECT_GE(root.root_dispersion / 0x1p28, 0.502);
  EXPECT_EQ(clock_.mono_root(start_tsc).epoch, 9U);
  EXPECT_EQ(clock_.smeared_mono_root(start_tsc + 11 * hz).root_dispersion, 0xffffffffU);
}

TEST_F(ServedClockTest, P41_TheReferenceTimeIsNeverAfterTheReading) {
  hwclock::ClockState state = good_state();
  state.reference_ntp = state.ntp0 + (std::uint64_t{3} << 32);
  publish(state);
  for (const std::uint64_t s : {0U, 1U, 2U, 3U, 4U}) {
    const std::uint64_t tsc = start_tsc + s * hz;
    EXPECT_LE(nts::difference(clock_.reading(tsc).reference, clock_.at(tsc)), 0) << s;
  }
}

TEST_F(ServedClockTest, B07_TimeRunsOnAcrossTheEraBoundary) {
  hwclock::ClockState state = good_state();
  state.ntp0 = 0xffffffff'80000000;  // half a second before 2036-02-07 06:28:16
  state.reference_ntp = state.ntp0;
  publish(state);
  EXPECT_EQ(clock_.at(start_tsc + hz).units >> 32, 0U);
  EXPECT_GT(nts::difference(clock_.at(start_tsc + hz), clock_.at(start_tsc)), 0);
  const ClockReading reading = clock_.reading(start_tsc + hz);
  EXPECT_EQ(reading.leap, 0);
  EXPECT_EQ(reading.reference.units, state.ntp0) << "still before the reading, in the era before";
}

TEST_F(ServedClockTest, G08_ANewPageIsReadThoughItsGenerationIsTheSame) {
  publish(good_state());
  auto other = std::make_unique<shm::ClockPage>();
  hwclock::ClockState state = good_state();
  state.stratum = 4;
  other->clock.publish(state);
  ASSERT_EQ(other->clock.generation(), page_->clock.generation());
  clock_.refresh(other.get());
  EXPECT_EQ(clock_.reading(start_tsc).stratum, 4);
  clock_.refresh(nullptr);
  EXPECT_EQ(clock_.reading(start_tsc).stratum, 4) << "without a page the state stays";
}

// 10^6 bursts here, 10^8 with NOONMARK_LONG; corrections below 1 ms are hidden, larger steps shown at once.
TEST_F(ServedClockTest, B11_PromisesNeverRunBackButForAStep) {
  const int bursts = std::getenv("NOONMARK_LONG") != nullptr ? 100'000'000 : 1'000'000;
  std::mt19937_64 random(11);
  dataplane::Departure departure;
  departure.set_delay_ns(1500);
  std::uint64_t tsc = start_tsc;
  publish(good_state());
  nts::NtpTime last = departure.predict(clock_.at(tsc));
  for (int i = 0; i < bursts; ++i) {
    tsc += random() % 5000;
    bool is_step = false;
    if (random() % 1000 == 0) {
      hwclock::ClockState state = good_state(tsc);
      const auto slew = static_cast<std::int64_t>(random() % (1U << 20)) - (1 << 19);
      is_step = random() % 10 == 0;
      const std::int64_t step = is_step ? -(std::int64_t{1} << 33) : slew;
      state.ntp0 = clock_.at(tsc).units + static_cast<std::uint64_t>(step);
      state.reference_ntp = state.ntp0;
      publish(state);
    }
    const nts::NtpTime now = clock_.at(tsc);
    const nts::NtpTime promised = departure.predict(now);
    if (is_step) {
      ASSERT_LT(nts::difference(promised, last), -(std::int64_t{1} << 32)) << "a step is shown at once";
    } else {
      ASSERT_GT(nts::difference(promised, last), 0) << i;
    }
    last = promised;
  }
}

}  // namespace
