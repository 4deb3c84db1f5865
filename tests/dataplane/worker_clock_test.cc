// What a worker says of the time: stamps in order, and a clock that is good, void, torn, replaced or not
// there.
#include <atomic>
#include <thread>

#include "tests/support/worker_on_rings.h"

namespace {

using tests::good_clock;
using tests::leap_of;
using tests::Octets;
using tests::payload_of;
using tests::receive_of;
using tests::refid_of;
using tests::stratum_of;
using tests::transmit_of;
using tests::with_payload;
using tests::WorkerOnRings;

TEST_F(WorkerOnRings, B10_SaysUnsynchronisedWithoutAClock) {
  const Octets answer = ask(tests::plain_request());
  EXPECT_EQ(leap_of(answer), 3);
  EXPECT_EQ(stratum_of(answer), 0);
  EXPECT_EQ(refid_of(answer), dataplane::refid_init);
  EXPECT_LT(receive_of(answer), transmit_of(answer));
}

TEST_F(WorkerOnRings, G15_SaysUnsynchronisedOnceTheClockIsVoid) {
  hwclock::ClockState state = good_clock();
  clock_page_->clock.publish(state);
  EXPECT_EQ(leap_of(ask(tests::plain_request())), 0);

  state.valid_until = rte_rdtsc() - 1;
  clock_page_->clock.publish(state);
  Octets answer = ask(tests::plain_request());
  EXPECT_EQ(leap_of(answer), 3);
  EXPECT_EQ(stratum_of(answer), 0);
  EXPECT_EQ(refid_of(answer), dataplane::refid_holdover_over);

  state = good_clock();
  clock_page_->clock.publish(state);
  EXPECT_EQ(leap_of(ask(tests::plain_request())), 0) << "and believes the next good state";

  state.mult = 0;  // out of range: refused, and the good one stays
  clock_page_->clock.publish(state);
  EXPECT_EQ(leap_of(ask(tests::plain_request())), 0);
}

TEST_F(WorkerOnRings, B10_EveryWayToBeUnsynchronisedIsSaidToPlainAndNtsClientsAlike) {
  publish_keys();
  const std::uint64_t now = rte_rdtsc();
  const std::uint64_t hz = rte_get_tsc_hz();
  hwclock::ClockState expired = good_clock();
  expired.valid_until = now - 1;
  hwclock::ClockState put_back = good_clock();  // the TSC is a minute behind where the clock was read
  put_back.tsc0 = now + 60 * hz;
  put_back.valid_until = now + 1000 * hz;
  hwclock::ClockState says_so = good_clock();
  says_so.leap = 3;
  hwclock::ClockState alarm = says_so;
  alarm.state = hwclock::State::alarm;
  const std::vector<std::pair<hwclock::ClockState, std::uint32_t>> ways = {
      {expired, dataplane::refid_holdover_over},
      {put_back, dataplane::refid_holdover_over},
      {says_so, dataplane::refid_init},
      {alarm, dataplane::refid_alarm}};
  for (const auto& [state, why] : ways) {
    clock_page_->clock.publish(good_clock());
    ASSERT_EQ(stratum_of(ask(tests::plain_request())), 1);
    clock_page_->clock.publish(state);
    for (const Octets& request : {tests::plain_request(), tests::plain_request(3), tests::nts_request()}) {
      const Octets answer = ask(request);
      EXPECT_EQ(leap_of(answer), 3);
      EXPECT_EQ(stratum_of(answer), 0) << "never a stale stratum 1";
      EXPECT_EQ(refid_of(answer), why);
      EXPECT_LT(receive_of(answer), transmit_of(answer));
    }
  }
}

TEST_F(WorkerOnRings, B10_G04_AClockWriterThatDiedMidWayLeavesTheLastStateUntilItsEnd) {
  hwclock::ClockState state = good_clock();
  clock_page_->clock.publish(state);
  ASSERT_EQ(stratum_of(ask(tests::plain_request())), 1);
  auto& generation = reinterpret_cast<std::atomic<std::uint64_t>&>(clock_page_->clock);
  generation.store(generation.load() + 1);
  EXPECT_EQ(stratum_of(ask(tests::plain_request())), 1);
  state.stratum = 2;
  clock_page_->clock.publish(state);
  EXPECT_EQ(stratum_of(ask(tests::plain_request())), 2) << "healed by the next publication";
}

TEST_F(WorkerOnRings, B10_ATornFirstClockIsNone) {
  clock_page_->clock.publish(good_clock());
  reinterpret_cast<std::atomic<std::uint64_t>&>(clock_page_->clock).store(3);
  const Octets answer = ask(tests::plain_request());
  EXPECT_EQ(leap_of(answer), 3);
  EXPECT_EQ(refid_of(answer), dataplane::refid_init);
}

// A hundred seconds after the last publication, without waiting for them.
TEST_F(WorkerOnRings, B12_RootDispersionInTheAnswerHasGrownSinceThePublication) {
  const auto dispersion = [&](std::uint64_t age_s) {
    hwclock::ClockState state = good_clock();
    state.tsc0 -= age_s * state.tsc_hz;
    state.reference_ntp = state.ntp0;
    clock_page_->clock.publish(state);
    return nts::load_u32(payload_of(ask(tests::plain_request())).data() + 8) / 65536.0;
  };
  EXPECT_GE(dispersion(0), 2e-6);
  EXPECT_LT(dispersion(0), 1e-3);
  EXPECT_GE(dispersion(100), 2e-6 + 100 * 15e-6);
  EXPECT_LT(dispersion(100), 100 * 15e-6 + 1e-3);
}

// A thread changes the source as fast as it can; each answer must tell of one of the two, never of a mixture.
TEST_F(WorkerOnRings, B13_AnAnswerDuringAChangeOfSourceIsAllOfOneOrAllOfTheOther) {
  hwclock::ClockState pps = good_clock();
  hwclock::ClockState upstream = pps;
  upstream.stratum = 3;
  upstream.reference_id = 0xc0000209;
  upstream.reference_ntp -= std::uint64_t{77} << 32;
  upstream.root_delay_ns = 9'000'000;
  upstream.precision = -20;
  upstream.leap = 1;
  clock_page_->clock.publish(pps);
  // The worker has read it before the writer begins: from then on it has a whole state, whatever it meets.
  ASSERT_EQ(leap_of(ask(tests::plain_request())), 0);
  const std::jthread writer([&](const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); ++i) clock_page_->clock.publish(i % 2 == 0 ? upstream : pps);
  });
  // So many answers, and on until both sources were told of: a writer that never gets the CPU shows nothing.
  constexpr int wanted = 20'000;
  constexpr int most = 100 * wanted;
  std::array<int, 2> seen{};
  for (int i = 0; i < wanted || (i < most && (seen[0] == 0 || seen[1] == 0)); ++i) {
    const Octets answer = ask(tests::plain_request());
    const std::uint8_t* header = payload_of(answer).data();
    const bool is_pps = stratum_of(answer) == 1;
    ++seen[is_pps ? 0 : 1];
    const hwclock::ClockState& told = is_pps ? pps : upstream;
    ASSERT_EQ(leap_of(answer), static_cast<int>(told.leap));
    ASSERT_EQ(stratum_of(answer), static_cast<int>(told.stratum));
    ASSERT_EQ(static_cast<std::int8_t>(header[3]), told.precision);
    ASSERT_EQ(nts::load_u32(header + 4),
              nts::short_from_ns_rounded_up(static_cast<std::int64_t>(told.root_delay_ns)));
    ASSERT_EQ(refid_of(answer), told.reference_id);
    ASSERT_EQ(nts::load_u64(header + 16), told.reference_ntp);
  }
  EXPECT_GT(seen[0], 0);
  EXPECT_GT(seen[1], 0) << "the worker never saw the change";
}

TEST_F(WorkerOnRings, KeepsHouseAtOnceAfterTheTscWasPutBack) {
  const std::uint64_t ahead = rte_rdtsc() + 1000 * rte_get_tsc_hz();
  worker_->keep_house(ahead);  // as if the count had been far ahead a moment ago
  ASSERT_EQ(line_.heartbeat_tsc.load(), ahead);
  publish_keys(7);
  worker_->serve_once();
  EXPECT_LT(line_.heartbeat_tsc.load(), ahead);
  EXPECT_EQ(line_.acknowledged_keys.load(), 7U);
}

TEST_F(WorkerOnRings, B11_TransmitIsAfterReceiveAndNeverRunsBack) {
  clock_page_->clock.publish(good_clock());
  std::uint64_t last = 0;
  for (int i = 0; i < 2000; ++i) {
    if (i % 100 == 50) {
      hwclock::ClockState state = good_clock();  // the clock is corrected backwards by 23 us
      state.ntp0 = last - 100'000;
      state.reference_ntp = state.ntp0;
      clock_page_->clock.publish(state);
    }
    rings_->arrive(with_payload(tests::plain_request()));
    const std::vector<Octets> answers = serve();
    ASSERT_EQ(answers.size(), 1U);
    ASSERT_LT(receive_of(answers[0]), transmit_of(answers[0]));
    ASSERT_GT(transmit_of(answers[0]), last) << i;
    last = transmit_of(answers[0]);
  }
}

TEST_F(WorkerOnRings, B13_AllAnswersOfABurstAgreeOnTheClock) {
  clock_page_->clock.publish(good_clock());
  for (int i = 0; i < 32; ++i) rings_->arrive(with_payload(tests::plain_request()));
  const std::vector<Octets> answers = serve();
  ASSERT_EQ(answers.size(), 32U);
  for (const Octets& answer : answers) EXPECT_EQ(answer, answers[0]);
}

}  // namespace
