// The whole packet path on a ring port: frames in, frames out, and every counter in between.
#include "dataplane/worker.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <rte_cycles.h>
#include <rte_mempool.h>
#include <set>
#include <thread>

#include "nts/wire.h"
#include "tests/support/nettle_kernels.h"
#include "tests/support/packet_builder.h"
#include "tests/support/ring_port.h"

namespace {

using dataplane::Worker;
using nts::Verdict;
using shm::FrameVerdict;
using tests::FrameSpec;
using tests::Octets;

constexpr std::uint64_t instance_id = 0x1234;
constexpr std::size_t payload_offset = 14 + 20 + 8;

std::span<const std::uint8_t> payload_of(const Octets& frame) {
  return std::span(frame).subspan(payload_offset);
}
int leap_of(const Octets& frame) { return frame[payload_offset] >> 6; }
int stratum_of(const Octets& frame) { return frame[payload_offset + 1]; }
std::uint32_t refid_of(const Octets& frame) { return nts::load_u32(payload_of(frame).data() + 12); }
std::uint64_t receive_of(const Octets& frame) { return nts::load_u64(payload_of(frame).data() + 32); }
std::uint64_t transmit_of(const Octets& frame) { return nts::load_u64(payload_of(frame).data() + 40); }

FrameSpec with_payload(Octets payload) {
  FrameSpec spec;
  spec.payload = std::move(payload);
  return spec;
}

class WorkerOnRings : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!tests::eal_trouble.empty()) GTEST_SKIP() << tests::eal_trouble;
    free_buffers_ = rte_mempool_avail_count(tests::shared_buffers().get());
    settings_.revision = 1;
    settings_.device_count = settings_.core_count = 1;
    settings_.ntp_port = 123;
    settings_.answer_plain = settings_.answer_nts = 1;
    settings_.address_count = 1;
    settings_.addresses[0] = tests::address_of(tests::server_ipv4);
    publish_settings();
    use_port();
  }

  void TearDown() override {
    if (worker_ != nullptr) expect_conservation();
    worker_.reset();
    rings_.reset();
    if (tests::eal_trouble.empty()) {
      EXPECT_EQ(rte_mempool_avail_count(tests::shared_buffers().get()), free_buffers_)
          << "I4: a buffer leaked";
    }
  }

  void use_port(unsigned transmit_frames = 1024) {
    worker_.reset();
    rings_ = std::make_unique<tests::RingPort>(transmit_frames);
    make_worker();
  }

  void make_worker() {
    worker_ = std::make_unique<Worker>(dataplane::WorkerSetup{
        &tests::nettle_kernels(), &current_, &line_, instance_id, 0, rte_get_tsc_hz(), rings_->queues()});
  }

  void publish_settings() {
    ++settings_.revision;
    settings_page_->settings.publish(settings_);
  }

  void publish_keys(std::uint64_t generation = 1) {
    const std::vector<tests::RingEntry> entries = {{tests::usual_key_id, nts::KeyState::current}};
    keys_page_->ring.publish(tests::make_ring(entries, generation));
  }

  hwclock::ClockState good_clock() const {
    hwclock::ClockState state{};
    state.tsc0 = rte_rdtsc();
    state.ntp0 = 0xee000000'00000000;
    state.tsc_hz = rte_get_tsc_hz();
    state.mult = static_cast<std::uint64_t>((static_cast<hwclock::Int128>(1) << 92) /
                                            static_cast<hwclock::Int128>(state.tsc_hz));
    state.valid_until = state.tsc0 + 1000 * state.tsc_hz;
    state.reference_ntp = state.ntp0 - (std::uint64_t{5} << 32);
    state.root_delay_ns = 1000;
    state.dispersion0_ns = 2000;
    state.dispersion_rate_ppb = 15000;
    state.state = hwclock::State::locked;
    state.source = hwclock::Source::pps;
    state.stratum = 1;
    state.reference_id = 0x50505300;  // "PPS"
    state.precision = -25;
    return state;
  }

  // Serves until the receive ring is empty, then commits.
  std::vector<Octets> serve() {
    while (worker_->serve_once()) {
    }
    worker_->keep_house(rte_rdtsc());
    expect_conservation();
    return rings_->take_transmitted();
  }

  // J15 and I1, on every burst of every test: each packet that came in has one verdict, those with an
  // answering one left again, and nothing more.
  void expect_conservation() {
    worker_->keep_house(rte_rdtsc());
    EXPECT_EQ(all_verdicts(), line_.received_packets.load()) << "J15";
    std::uint64_t answered = 0;
    for (std::size_t i = 0; i < nts::verdict_count; ++i) {
      if (nts::is_answered(static_cast<Verdict>(i))) answered += line_.verdict[i].load();
    }
    EXPECT_EQ(answered, line_.sent_packets.load()) << "J15";
    EXPECT_LE(line_.sent_packets.load(), line_.received_packets.load()) << "I1";
    EXPECT_LE(line_.sent_octets.load(), line_.received_octets.load()) << "I1, J01";
  }

  Octets ask(const Octets& payload) {
    rings_->arrive(with_payload(payload));
    std::vector<Octets> answers = serve();
    return answers.size() == 1 ? answers.front() : Octets(payload_offset + 48, 0xff);
  }

  std::uint64_t counted(Verdict verdict) const {
    return line_.verdict[static_cast<std::size_t>(verdict)].load();
  }
  std::uint64_t counted(FrameVerdict verdict) const {
    return line_.frame[static_cast<std::size_t>(verdict)].load();
  }
  std::uint64_t all_verdicts() const {
    std::uint64_t sum = 0;
    for (const auto& counter : line_.frame) sum += counter.load();
    for (const auto& counter : line_.verdict) sum += counter.load();
    return sum;
  }

  shm::Settings settings_{};
  std::unique_ptr<shm::SettingsPage> settings_page_ = std::make_unique<shm::SettingsPage>();
  std::unique_ptr<shm::KeysPage> keys_page_ = std::make_unique<shm::KeysPage>();
  std::unique_ptr<shm::ClockPage> clock_page_ = std::make_unique<shm::ClockPage>();
  dataplane::PageSet pages_{settings_page_.get(), keys_page_.get(), clock_page_.get()};
  dataplane::CurrentPages current_{&pages_};
  shm::CoreStats line_{};
  std::unique_ptr<tests::RingPort> rings_;
  std::unique_ptr<Worker> worker_;
  unsigned free_buffers_ = 0;
};

TEST_F(WorkerOnRings, AnswersAPlainRequestToWhereItCameFrom) {
  clock_page_->clock.publish(good_clock());
  const Octets request = tests::plain_request();
  rings_->arrive(with_payload(request));
  const std::vector<Octets> answers = serve();
  ASSERT_EQ(answers.size(), 1U);
  const Octets& answer = answers.front();
  EXPECT_TRUE(tests::is_sound(answer));
  EXPECT_TRUE(std::equal(tests::client_mac.begin(), tests::client_mac.end(), answer.begin()));
  EXPECT_EQ(answer[payload_offset], 0x24) << "leap 0, version 4, mode 4";
  EXPECT_EQ(stratum_of(answer), 1);
  EXPECT_TRUE(std::equal(request.begin() + 40, request.end(), answer.begin() + payload_offset + 24))
      << "origin";
  EXPECT_EQ(counted(Verdict::answer_plain), 1U);
  EXPECT_EQ(line_.sent_packets.load(), 1U);
  EXPECT_EQ(line_.sent_octets.load(), answer.size());
  EXPECT_EQ(line_.received_octets.load(), answer.size());
}

TEST_F(WorkerOnRings, A04_AnswersUnderTheRequestsVlanTag) {
  FrameSpec spec = with_payload(tests::plain_request());
  spec.tags = {0x2064};
  rings_->arrive(spec);
  const std::vector<Octets> answers = serve();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0][14] << 8 | answers[0][15], 0x2064);
  EXPECT_TRUE(tests::is_sound(answers[0], 18));
}

TEST_F(WorkerOnRings, AnswersNtsWithAsManyCookiesAsWereAskedFor) {
  publish_keys();
  clock_page_->clock.publish(good_clock());
  std::set<Octets> cookies;
  for (std::size_t placeholders = 0; placeholders < 8; ++placeholders) {
    const Octets answer = ask(tests::nts_request(placeholders));
    EXPECT_TRUE(tests::is_sound(answer));
    bool authentic = false;
    const std::vector<Octets> fresh =
        tests::cookies_of_answer(payload_of(answer), tests::key_of(0x52), authentic);
    EXPECT_TRUE(authentic);
    EXPECT_EQ(fresh.size(), 1 + placeholders);
    cookies.insert(fresh.begin(), fresh.end());
  }
  EXPECT_EQ(cookies.size(), 36U) << "1 + 2 + ... + 8, each of them new";
  EXPECT_EQ(line_.cookies_issued.load(), 36U);
  EXPECT_EQ(counted(Verdict::answer_nts), 8U);
}

TEST_F(WorkerOnRings, DropsNtsWithoutKeysAndServesItFromTheFirstPublicationOn) {
  rings_->arrive(with_payload(tests::nts_request()));
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(Verdict::drop_no_keys), 1U);
  EXPECT_EQ(line_.acknowledged_keys.load(), 0U);

  publish_keys(7);
  EXPECT_EQ(leap_of(ask(tests::nts_request())), 3);
  EXPECT_EQ(counted(Verdict::answer_nts), 1U);
  EXPECT_EQ(line_.acknowledged_keys.load(), 7U);
}

TEST_F(WorkerOnRings, AcknowledgesANewRingWhileIdle) {
  publish_keys(7);
  while (worker_->serve_once()) {
  }
  worker_->keep_house(rte_rdtsc());
  EXPECT_EQ(line_.acknowledged_keys.load(), 7U);
  EXPECT_EQ(line_.instance_id.load(), instance_id);
  publish_keys(8);
  worker_->keep_house(rte_rdtsc());
  EXPECT_EQ(line_.acknowledged_keys.load(), 8U);
}

TEST_F(WorkerOnRings, KeepsItsKeysWhenThePageHoldsABrokenRing) {
  publish_keys(7);
  worker_->keep_house(rte_rdtsc());
  const std::vector<tests::RingEntry> entries = {{tests::usual_key_id, nts::KeyState::current}};
  nts::KeyRing broken = tests::make_ring(entries, 9);
  broken.current_id = 12;
  ASSERT_FALSE(nts::is_valid(broken));
  keys_page_->ring.publish(broken);
  static_cast<void>(ask(tests::nts_request()));
  EXPECT_EQ(counted(Verdict::answer_nts), 1U);
  EXPECT_EQ(line_.acknowledged_keys.load(), 7U);
}

TEST_F(WorkerOnRings, ARestartInheritsNoAcknowledgementAndNoCounter) {
  publish_keys(7);
  static_cast<void>(ask(tests::nts_request()));
  keys_page_ = std::make_unique<shm::KeysPage>();
  pages_.keys = keys_page_.get();
  make_worker();
  EXPECT_EQ(line_.acknowledged_keys.load(), 0U);
  EXPECT_EQ(line_.received_packets.load(), 0U);
  EXPECT_EQ(all_verdicts(), 0U);
}

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
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; !stop.load(); ++i) clock_page_->clock.publish(i % 2 == 0 ? upstream : pps);
  });
  std::array<int, 2> seen{};
  for (int i = 0; i < 20'000; ++i) {
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
  stop = true;
  writer.join();
  EXPECT_GT(seen[0] + seen[1], 0);
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

TEST_F(WorkerOnRings, B02_B05_NothingButModeThreeIsEverAnsweredOnTheWire) {
  publish_keys();
  for (std::uint8_t version = 0; version < 8; ++version) {
    for (std::uint8_t mode = 0; mode < 8; ++mode) {
      if (mode == 3) continue;
      Octets payload = tests::nts_request();
      payload[0] = static_cast<std::uint8_t>(version << 3 | mode);
      rings_->arrive(with_payload(tests::plain_request(version, mode)));
      rings_->arrive(with_payload(payload));
    }
  }
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(Verdict::drop_mode) + counted(Verdict::drop_version), 112U);
}

TEST_F(WorkerOnRings, C24_P27_P43_AKissGoesOutWhenTheCookieIsWrong) {
  publish_keys();
  Octets request = tests::nts_request(3);
  request[120] ^= 1;
  const Octets answer = ask(request);
  EXPECT_EQ(leap_of(answer), 3);
  EXPECT_EQ(refid_of(answer), 0x4e54534eU);
  EXPECT_EQ(answer.size(), payload_offset + 48 + 36);
  EXPECT_TRUE(tests::is_sound(answer));
  EXPECT_EQ(line_.cookies_issued.load(), 0U);
}

TEST_F(WorkerOnRings, C26_WithNtsSwitchedOffItIsDroppedAndPlainIsServed) {
  publish_keys();
  settings_.answer_nts = 0;
  publish_settings();
  rings_->arrive(with_payload(tests::nts_request()));
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(Verdict::drop_no_keys), 1U);
  rings_->arrive(with_payload(tests::plain_request()));
  EXPECT_EQ(serve().size(), 1U);
}

TEST_F(WorkerOnRings, P46_AnySourcePortButZeroIsAnsweredThere) {
  for (const std::uint16_t port :
       {std::uint16_t{1}, std::uint16_t{123}, std::uint16_t{1023}, std::uint16_t{65535}}) {
    FrameSpec spec = with_payload(tests::plain_request());
    spec.source_port = port;
    rings_->arrive(spec);
    const std::vector<Octets> answers = serve();
    ASSERT_EQ(answers.size(), 1U) << port;
    EXPECT_EQ(answers[0][36] << 8 | answers[0][37], port);
  }
  FrameSpec spec = with_payload(tests::plain_request());
  spec.source_port = 0;
  rings_->arrive(spec);
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(FrameVerdict::drop_source_port), 1U);
}

TEST_F(WorkerOnRings, SettingsChangeWhileItRuns) {
  EXPECT_EQ(leap_of(ask(tests::plain_request())), 3);
  settings_.answer_plain = 0;
  publish_settings();
  rings_->arrive(with_payload(tests::plain_request()));
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(Verdict::drop_plain_refused), 1U);

  settings_.answer_plain = 1;
  settings_.addresses[0] = tests::address_of(tests::Ipv4{192, 0, 2, 9});
  publish_settings();
  rings_->arrive(with_payload(tests::plain_request()));
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(FrameVerdict::pass_other), 1U);

  settings_.address_count = shm::addresses_max + 1;  // out of range: refused whole
  publish_settings();
  FrameSpec spec = with_payload(tests::plain_request());
  spec.destination = {192, 0, 2, 9};
  rings_->arrive(spec);
  EXPECT_EQ(serve().size(), 1U);
}

TEST_F(WorkerOnRings, G08_MovesToAReplacedPageEvenWhenItCountsItsGenerationsAnew) {
  publish_keys(7);
  worker_->keep_house(rte_rdtsc());
  auto other = std::make_unique<shm::KeysPage>();
  const std::vector<tests::RingEntry> entries = {{tests::usual_key_id, nts::KeyState::current}};
  other->ring.publish(tests::make_ring(entries, 8));
  ASSERT_EQ(other->ring.generation(), keys_page_->ring.generation());
  const dataplane::PageSet next{settings_page_.get(), other.get(), clock_page_.get()};
  current_.store(&next);
  EXPECT_EQ(worker_->pages_in_use(), &pages_);
  worker_->keep_house(rte_rdtsc());
  EXPECT_EQ(worker_->pages_in_use(), &next);
  EXPECT_EQ(line_.acknowledged_keys.load(), 8U);
  current_.store(&pages_);
  worker_->keep_house(rte_rdtsc());
}

TEST_F(WorkerOnRings, A34_OneGoodRequestAmongThirtyOneBadOnesIsAnsweredInEveryPosition) {
  for (std::size_t good = 0; good < nts::burst_max; ++good) {
    for (std::size_t i = 0; i < nts::burst_max; ++i) {
      FrameSpec spec = with_payload(tests::plain_request());
      if (i != good) {
        switch (i % 5) {
          case 0:
            spec.udp_checksum = 0x1111;
            break;
          case 1:
            spec.payload.resize(40);
            break;
          case 2:
            spec.destination_port = 124;
            break;
          case 3:
            spec.fragment = 0x2000;
            break;
          default:
            spec.payload[0] = 0x26;
            break;  // mode 6
        }
      }
      rings_->arrive(spec);
    }
    EXPECT_EQ(serve().size(), 1U) << good;
  }
  EXPECT_EQ(line_.received_packets.load(), nts::burst_max * nts::burst_max);
  EXPECT_EQ(line_.bursts.load(), nts::burst_max);
  EXPECT_EQ(all_verdicts(), line_.received_packets.load());
}

TEST_F(WorkerOnRings, J15_EveryPacketIsCountedOnceWhateverArrives) {
  publish_keys();
  std::mt19937 random(20240229);  // NOLINT: the same garbage every time
  const std::array<Octets, 3> seeds = {with_payload(tests::plain_request()).build(),
                                       with_payload(tests::nts_request(2)).build(),
                                       with_payload(tests::nts_request()).build()};
  std::uint64_t arrived = 0;
  std::uint64_t answered = 0;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 100; ++i) {
      Octets frame = seeds[random() % seeds.size()];
      for (unsigned changes = random() % 4; changes > 0; --changes) {
        frame[random() % frame.size()] = static_cast<std::uint8_t>(random());
      }
      if (random() % 8 == 0) frame.resize(random() % (frame.size() + 1));
      rings_->arrive(frame);
      ++arrived;
    }
    const std::vector<Octets> answers = serve();
    answered += answers.size();
    ASSERT_EQ(line_.received_packets.load(), arrived);
    ASSERT_EQ(all_verdicts(), arrived);
  }
  EXPECT_EQ(line_.sent_packets.load(), answered);
  EXPECT_LE(line_.sent_octets.load(), line_.received_octets.load()) << "I1";
  std::uint64_t answers_counted = 0;
  for (std::size_t i = 0; i < nts::verdict_count; ++i) {
    if (nts::is_answered(static_cast<Verdict>(i))) answers_counted += line_.verdict[i].load();
  }
  EXPECT_EQ(answers_counted, answered);
  EXPECT_GT(answered, 0U);
  EXPECT_LT(answered, arrived);
}

TEST_F(WorkerOnRings, A33_AFullTransmitRingDropsCountsAndRecovers) {
  use_port(8);  // room for seven
  for (int i = 0; i < 32; ++i) rings_->arrive(with_payload(tests::plain_request()));
  while (worker_->serve_once()) {
  }
  worker_->keep_house(rte_rdtsc());
  EXPECT_EQ(counted(FrameVerdict::drop_transmit_full), 25U);
  EXPECT_EQ(counted(Verdict::answer_plain), 7U);
  EXPECT_EQ(line_.sent_packets.load(), 7U);
  EXPECT_EQ(line_.sent_octets.load(), 7U * 90);
  EXPECT_EQ(all_verdicts(), 32U);

  EXPECT_EQ(rings_->take_transmitted().size(), 7U);
  rings_->arrive(with_payload(tests::plain_request()));
  EXPECT_EQ(serve().size(), 1U);
}

TEST_F(WorkerOnRings, A30_DropsFramesSpreadOverBuffers) {
  const Octets frame = with_payload(tests::plain_request()).build();
  for (std::size_t at = 1; at < frame.size(); ++at) {
    const auto cut = frame.begin() + static_cast<std::ptrdiff_t>(at);
    rte_mbuf* head = rings_->make_mbuf(Octets(frame.begin(), cut));
    ASSERT_EQ(rte_pktmbuf_chain(head, rings_->make_mbuf(Octets(cut, frame.end()))), 0);
    rings_->arrive(head);
    EXPECT_TRUE(serve().empty()) << at;
  }
  rte_mbuf* lying = rings_->make_mbuf(frame);
  lying->pkt_len += 1;
  rings_->arrive(lying);
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(FrameVerdict::drop_segmented), frame.size());
  EXPECT_EQ(all_verdicts(), frame.size());
}

TEST_F(WorkerOnRings, A32_DropsFramesInBuffersThatOthersHoldToo) {
  rte_mbuf* original = rings_->make_mbuf(with_payload(tests::plain_request()).build());
  rte_mbuf* clone = rte_pktmbuf_clone(original, tests::shared_buffers().get());
  ASSERT_NE(clone, nullptr);
  rings_->arrive(clone);
  rings_->arrive(original);
  const std::vector<Octets> answers = serve();
  EXPECT_TRUE(answers.empty());
  EXPECT_EQ(counted(FrameVerdict::drop_segmented), 2U);
}

TEST_F(WorkerOnRings, B04_ItsOwnAnswerFedBackIsNotAnswered) {
  rings_->arrive(with_payload(tests::plain_request()));
  std::vector<Octets> answers = serve();
  ASSERT_EQ(answers.size(), 1U);
  for (int round = 0; round < 3; ++round) {
    rings_->arrive(answers[0]);
    EXPECT_TRUE(serve().empty());
  }
  // Even turned round as a peer would send it.
  FrameSpec spec = with_payload(Octets(payload_of(answers[0]).begin(), payload_of(answers[0]).end()));
  rings_->arrive(spec);
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(Verdict::drop_mode), 1U);
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

TEST_F(WorkerOnRings, GivesSignsOfLifeWithoutTrafficAndNotWithEveryPoll) {
  const std::uint64_t before = line_.heartbeat_tsc.load();
  const std::uint64_t start = rte_rdtsc();
  std::set<std::uint64_t> signs;
  while (rte_rdtsc() - start < rte_get_tsc_hz() / 100) {
    EXPECT_FALSE(worker_->serve_once());
    signs.insert(line_.heartbeat_tsc.load());
  }
  EXPECT_GT(line_.heartbeat_tsc.load(), before);
  const std::uint64_t passed_ms = (rte_rdtsc() - start) / (rte_get_tsc_hz() / 1000);
  EXPECT_LE(signs.size(), passed_ms + 2) << "one a millisecond, and the one that stood there";
}

}  // namespace
