// The load generator against a real worker in this process: what one transmits the other receives, and a
// stand-in for the network between them spoils what the test says.
#include <algorithm>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_ring.h>
#include <set>
#include <unistd.h>

#include "bench/load/dpdk_transport.h"
#include "bench/load/generator.h"
#include "bench/load/session.h"
#include "dataplane/checksum.h"
#include "dataplane/random_pool.h"
#include "dataplane/worker.h"
#include "nts/wire.h"
#include "tests/support/packet_builder.h"
#include "tests/support/ring_port.h"
#include "tests/support/served_worker.h"

namespace bench::load {
namespace {

const nts::siv::Kernels& tier() { return *nts::siv::choose_tier(); }

std::int64_t utc_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

hwclock::ClockState clock_of_this_machine() {
  hwclock::ClockState state = tests::good_clock();
  state.ntp0 = state.reference_ntp = nts::ntp_from_utc_ns(utc_ns()).units;
  return state;
}

// Generator and worker, one ring each way.
class Load : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!tests::eal_trouble.empty()) GTEST_SKIP() << tests::eal_trouble;
    static int number = 0;
    const std::string name = "load" + std::to_string(number++);
    to_server_ = rte_ring_create((name + "s").c_str(), 256, SOCKET_ID_ANY, 0);
    to_client_ = rte_ring_create((name + "c").c_str(), 256, SOCKET_ID_ANY, 0);
    const int server = rte_eth_from_rings((name + "S").c_str(), &to_server_, 1, &from_server(), 1, 0);
    const int client = rte_eth_from_rings((name + "C").c_str(), &to_client_, 1, &to_server_, 1, 0);
    ASSERT_GE(server, 0);
    ASSERT_GE(client, 0);
    server_port_ = std::make_unique<dataplane::Port>(static_cast<std::uint16_t>(server), name + "S",
                                                     std::uint16_t{1}, tests::shared_buffers());
    client_port_ = std::make_unique<dataplane::Port>(static_cast<std::uint16_t>(client), name + "C",
                                                     std::uint16_t{1}, tests::shared_buffers());
    shm::Settings settings{};
    settings.revision = settings.device_count = settings.core_count = 1;
    settings.ntp_port = 123;
    settings.answer_plain = settings.answer_nts = 1;
    settings.addresses[settings.address_count++] = tests::address_of(tests::server_ipv4);
    settings.addresses[settings.address_count++] = tests::address_of(tests::server_ipv6);
    settings_page_->settings.publish(settings);
    const nts::KeyRing ring = tests::make_ring({{tests::usual_key_id, nts::KeyState::current}});
    keys_page_->ring.publish(ring);
    clock_page_->clock.publish(clock_of_this_machine());
    worker_ = std::make_unique<dataplane::Worker>(
        dataplane::WorkerSetup{&tier(), &current_, &line_, 1, 0, rte_get_tsc_hz(), {server_port_->queue(0)}});
    session_ = session_under(ring, tier(), random_);

    DpdkPlan ways;
    ways.server_mac = server_port_->mac();
    ways.client_mac = dataplane::MacAddress(tests::client_mac);  // ring ports have none of their own
    Route four;
    std::copy(tests::server_ipv4.begin(), tests::server_ipv4.end(), four.server.begin());
    std::copy(tests::client_ipv4.begin(), tests::client_ipv4.end(), four.client.begin());
    Route six;
    six.is_ipv6 = true;
    std::copy(tests::server_ipv6.begin(), tests::server_ipv6.end(), six.server.begin());
    std::copy(tests::client_ipv6.begin(), tests::client_ipv6.end(), six.client.begin());
    ways.routes = {four, six};
    ways.sources = 16;
    transport_ = std::make_unique<DpdkTransport>(*client_port_, tests::shared_buffers(), ways);
  }

  void TearDown() override {
    transport_.reset();
    worker_.reset();
    server_port_.reset();
    client_port_.reset();
    for (rte_ring* ring : {to_server_, to_client_, wire_}) {
      rte_mbuf* left = nullptr;
      while (ring != nullptr && rte_ring_dequeue(ring, reinterpret_cast<void**>(&left)) == 0)
        rte_pktmbuf_free(left);
      rte_ring_free(ring);
    }
  }

  // Where the server's answers go before the stand-in has seen them.
  rte_ring*& from_server() {
    if (wire_ == nullptr) {
      static int number = 0;
      wire_ = rte_ring_create(("wire" + std::to_string(number++)).c_str(), 256, SOCKET_ID_ANY, 0);
    }
    return wire_;
  }

  void make_generator(Kind kind) {
    Plan plan;
    plan.kind = kind;
    plan.window = 128;
    plan.tolerance = tolerance_;
    generator_ = std::make_unique<Generator>(*transport_, plan, &session_, tier(), random_);
  }

  // Sends `requests` and passes every answer through `spoil` (frame, its number from 0): it returns how many
  // copies arrive.
  using Spoil = std::function<unsigned(std::span<std::uint8_t>, std::uint64_t)>;
  const Report& load(std::uint64_t requests, const Spoil& spoil) {
    std::uint64_t answer = 0;
    while (generator_->report().sent < requests) {
      generator_->send(32);
      while (worker_->serve_once()) {
      }
      rte_mbuf* mbuf = nullptr;
      while (rte_ring_dequeue(wire_, reinterpret_cast<void**>(&mbuf)) == 0) {
        const unsigned copies = spoil({rte_pktmbuf_mtod(mbuf, std::uint8_t*), mbuf->data_len}, answer++);
        for (unsigned i = 1; i < copies; ++i) {
          rte_mbuf* copy = rte_pktmbuf_copy(mbuf, tests::shared_buffers().get(), 0, UINT32_MAX);
          EXPECT_EQ(rte_ring_enqueue(to_client_, copy), 0);
        }
        if (copies == 0 || rte_ring_enqueue(to_client_, mbuf) != 0) rte_pktmbuf_free(mbuf);
      }
      while (generator_->take_answers() != 0) {
      }
    }
    generator_->give_up();
    const Report& report = generator_->report();
    EXPECT_EQ(report.answered + report.lost, report.sent);
    EXPECT_EQ(report.latencies.count(), report.answered);
    return report;
  }

  [[nodiscard]] std::uint64_t faults(Fault fault) const {
    return generator_->report().faults[static_cast<std::size_t>(fault)];
  }
  [[nodiscard]] std::uint64_t all_faults() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : generator_->report().faults) sum += count;
    return sum;
  }

  static unsigned pass(std::span<std::uint8_t>, std::uint64_t) { return 1; }

  std::unique_ptr<shm::SettingsPage> settings_page_ = std::make_unique<shm::SettingsPage>();
  std::unique_ptr<shm::KeysPage> keys_page_ = std::make_unique<shm::KeysPage>();
  std::unique_ptr<shm::ClockPage> clock_page_ = std::make_unique<shm::ClockPage>();
  dataplane::PageSet pages_{settings_page_.get(), keys_page_.get(), clock_page_.get()};
  dataplane::CurrentPages current_{&pages_};
  shm::CoreStats line_{};
  rte_ring* to_server_ = nullptr;
  rte_ring* to_client_ = nullptr;
  rte_ring* wire_ = nullptr;
  std::unique_ptr<dataplane::Port> server_port_;
  std::unique_ptr<dataplane::Port> client_port_;
  std::unique_ptr<dataplane::Worker> worker_;
  dataplane::RandomPool random_{tier()};
  Session session_;
  std::chrono::milliseconds tolerance_{60'000};
  std::unique_ptr<DpdkTransport> transport_;
  std::unique_ptr<Generator> generator_;
};

TEST_F(Load, EveryAnswerOfAGoodServerIsRightAndItsCookiesAreUsedAgain) {
  make_generator(Kind::nts);
  const Report& report = load(32 * 1024, pass);
  EXPECT_EQ(report.answered, report.sent);
  EXPECT_EQ(all_faults(), 0U);
  EXPECT_EQ(report.cookies_reused, 32U);  // one in 1,024: all eight cookies have been replaced four times
  EXPECT_EQ(transport_->bad_checksums(), 0U);
  EXPECT_EQ(worker_->counters().verdict[static_cast<std::size_t>(nts::Verdict::answer_nts)], report.sent);
}

TEST_F(Load, PlainAnswersAreRightOverBothFamilies) {
  make_generator(Kind::plain);
  const Report& report = load(1024, [](std::span<std::uint8_t> frame, std::uint64_t number) {
    EXPECT_EQ(frame[12] << 8 | frame[13], number % 2 == 0 ? 0x0800 : 0x86dd);
    return pass(frame, number);
  });
  EXPECT_EQ(report.answered, 1024U);
  EXPECT_EQ(all_faults(), 0U);
}

// The checksum field is made "none", so that nothing but the verification itself can find the flip.
TEST_F(Load, OneFlippedOctetInAMillionAnswersIsFound) {
  constexpr std::uint64_t requests = 1 << 20;
  make_generator(Kind::nts);
  const Report& report = load(requests, [](std::span<std::uint8_t> frame, std::uint64_t number) {
    if (number == 765'432) {
      frame[14 + 20 + 6] = frame[14 + 20 + 7] = 0;
      frame[frame.size() - 1] ^= 0x10;
    }
    return 1U;
  });
  EXPECT_EQ(faults(Fault::tag), 1U);
  EXPECT_EQ(all_faults(), 1U);
  EXPECT_EQ(report.lost, 1U);
  EXPECT_EQ(report.answered, requests - 1);
}

TEST_F(Load, AFlipOfAnyOctetOfAnNtsAnswerIsFound) {
  make_generator(Kind::nts);
  std::uint64_t flipped = 0;
  const Report& report = load(1024, [&](std::span<std::uint8_t> frame, std::uint64_t number) {
    const bool is_ipv6 = frame[12] == 0x86;
    if (is_ipv6) return 1U;
    const std::size_t payload = 14 + 20 + 8;
    frame[payload - 2] = frame[payload - 1] = 0;
    frame[payload + number / 2 % (frame.size() - payload)] ^= 0x01;
    ++flipped;
    return 1U;
  });
  EXPECT_EQ(flipped, 512U);
  EXPECT_EQ(all_faults(), flipped);
  EXPECT_EQ(report.lost, flipped);
  EXPECT_EQ(report.late, 0U);
}

TEST_F(Load, AWrongUdpChecksumIsCountedAndNotTakenForAnAnswer) {
  make_generator(Kind::plain);
  const Report& report = load(320, [](std::span<std::uint8_t> frame, std::uint64_t number) {
    if (number % 32 == 5) frame[frame.size() - 1] ^= 0x01;
    return 1U;
  });
  EXPECT_EQ(transport_->bad_checksums(), 10U);
  EXPECT_EQ(report.lost, 10U);
}

TEST_F(Load, WhatTheNetworkLosesIsCountedAsLostAndNotAsWrong) {
  make_generator(Kind::nts);
  const Report& report =
      load(3200, [](std::span<std::uint8_t>, std::uint64_t number) { return number % 100 == 7 ? 0U : 1U; });
  EXPECT_EQ(report.lost, 32U);
  EXPECT_EQ(report.answered, 3168U);
  EXPECT_EQ(all_faults(), 0U);
}

TEST_F(Load, AnAnswerThatComesTwiceIsWrongOnce) {
  make_generator(Kind::nts);
  const Report& report =
      load(320, [](std::span<std::uint8_t>, std::uint64_t number) { return number % 32 == 9 ? 2U : 1U; });
  EXPECT_EQ(faults(Fault::repeated), 10U);
  EXPECT_EQ(all_faults(), 10U);
  EXPECT_EQ(report.answered, 320U);
}

TEST_F(Load, TheRequestsAnswerAfterItWasGivenUpIsLate) {
  make_generator(Kind::plain);
  generator_->send(32);
  generator_->give_up();
  while (worker_->serve_once()) {
  }
  rte_mbuf* mbuf = nullptr;
  while (rte_ring_dequeue(wire_, reinterpret_cast<void**>(&mbuf)) == 0)
    ASSERT_EQ(rte_ring_enqueue(to_client_, mbuf), 0);
  while (generator_->take_answers() != 0) {
  }
  EXPECT_EQ(generator_->report().late, 32U);
  EXPECT_EQ(generator_->report().lost, 32U);
  EXPECT_EQ(generator_->report().answered, 0U);
  EXPECT_EQ(all_faults(), 0U);
}

TEST_F(Load, AServerWhoseClockIsFarFromOursIsWrong) {
  hwclock::ClockState state = clock_of_this_machine();
  state.ntp0 += std::uint64_t{120} << 32;
  state.reference_ntp = state.ntp0;
  clock_page_->clock.publish(state);
  make_generator(Kind::plain);
  const Report& report = load(32, pass);
  EXPECT_EQ(faults(Fault::timestamps), 32U);
  EXPECT_EQ(report.answered, 0U);
}

TEST_F(Load, AReferenceAfterTheReceiptIsWrongAndOneOfZeroIsNot) {
  const auto reference_at = 14 + 20 + 8 + nts::header::reference_time;
  make_generator(Kind::plain);
  const Report& report = load(320, [&](std::span<std::uint8_t> frame, std::uint64_t number) {
    if (frame[12] == 0x86) return 1U;
    frame[14 + 20 + 6] = frame[14 + 20 + 7] = 0;  // no checksum
    std::uint64_t reference = nts::load_u64(frame.data() + reference_at);
    reference = number % 64 == 10 ? reference + (std::uint64_t{3600} << 32) : 0;
    for (std::size_t i = 0; i < 8; ++i)
      frame[reference_at + i] = static_cast<std::uint8_t>(reference >> (56 - 8 * i));
    return 1U;
  });
  EXPECT_EQ(faults(Fault::timestamps), 5U);
  EXPECT_EQ(all_faults(), 5U);
  EXPECT_EQ(report.answered, 315U);
}

TEST_F(Load, AnAnswerFromOrToAnotherAddressIsNone) {
  make_generator(Kind::plain);
  const Report& report = load(320, [](std::span<std::uint8_t> frame, std::uint64_t number) {
    std::uint8_t* ip = frame.data() + 14;
    if (frame[12] == 0x86 || number % 32 >= 4) return 1U;
    ip[number % 32 == 0 ? 15 : 19] ^= 1;
    ip[10] = ip[11] = ip[26] = ip[27] = 0;
    dataplane::store_folded(ip + 10, dataplane::checksum_of(dataplane::sum_octets(ip, 20)));
    return 1U;
  });
  EXPECT_EQ(report.lost, 20U);
  EXPECT_EQ(report.answered, 300U);
  EXPECT_EQ(transport_->bad_checksums(), 0U);
}

// A server that mixed up its clients would answer each once, and none of them.
TEST_F(Load, AnAnswerToAnotherOfOurClientsIsAstrayAndAnswersNobody) {
  for (const Kind kind : {Kind::plain, Kind::nts}) {
    make_generator(kind);
    const Report& report = load(320, [](std::span<std::uint8_t> frame, std::uint64_t number) {
      std::uint8_t* ip = frame.data() + 14;
      if (frame[12] == 0x86 || number % 32 >= 4) return 1U;
      ip[19] = static_cast<std::uint8_t>(tests::client_ipv4[3] + (ip[19] == tests::client_ipv4[3] ? 1 : 0));
      ip[23] = static_cast<std::uint8_t>(40000 + ip[19] - tests::client_ipv4[3]);
      ip[10] = ip[11] = ip[26] = ip[27] = 0;
      dataplane::store_folded(ip + 10, dataplane::checksum_of(dataplane::sum_octets(ip, 20)));
      return 1U;
    });
    EXPECT_EQ(faults(Fault::astray), 20U);
    EXPECT_EQ(report.lost, 20U);
    EXPECT_EQ(report.answered, 300U);
  }
}

TEST_F(Load, AWrongIpv4HeaderChecksumAndAnIpv6DatagramWithoutOneAreCounted) {
  make_generator(Kind::plain);
  const Report& report = load(320, [](std::span<std::uint8_t> frame, std::uint64_t number) {
    const bool is_ipv6 = frame[12] == 0x86;
    if (number % 32 >= 2) return 1U;
    if (is_ipv6) {
      frame[14 + 40 + 6] = frame[14 + 40 + 7] = 0;
    } else {
      frame[14 + 10] ^= 1;
    }
    return 1U;
  });
  EXPECT_EQ(transport_->bad_checksums(), 20U);
  EXPECT_EQ(report.lost, 20U);
}

// Sealed by the server's own key, so that nothing is wrong but what is inside.
TEST_F(Load, AuthenticAnswersWithoutOneFreshCookieOfTheUsualLengthAreWrong) {
  make_generator(Kind::nts);
  nts::siv::RingKeySchedule s2c;
  tier().expand_ring_key(session_.s2c.data(), &s2c);
  const nts::siv::RingKeySchedule* key = &s2c;
  std::vector<std::uint8_t> earlier;
  const Report& report = load(320, [&](std::span<std::uint8_t> frame, std::uint64_t number) {
    const bool is_ipv6 = frame[12] == 0x86;
    std::uint8_t* payload = frame.data() + 14 + (is_ipv6 ? 40 : 20) + 8;
    constexpr std::uint32_t seal_at = 48 + 36;
    std::vector<std::uint8_t> plaintext(104);
    nts::siv::Job job{.associated_data = payload,
                      .nonce = payload + seal_at + 8,
                      .plaintext = plaintext.data(),
                      .sealed = payload + seal_at + 8 + 16,
                      .associated_data_bytes = seal_at,
                      .nonce_bytes = 16,
                      .plaintext_bytes = 104,
                      .authentic = 0};
    tier().open_with_ring_keys(&key, &job, 1);
    EXPECT_EQ(job.authentic, 1U);
    switch (number % 32) {
      case 4:  // no cookie
        plaintext[0] ^= 1;
        break;
      case 8:  // two short ones
        plaintext[3] = 52;
        std::copy_n(plaintext.begin(), 4, plaintext.begin() + 52);
        break;
      case 12:  // the one that came before
        plaintext = earlier;
        break;
      default:
        break;
    }
    earlier = plaintext;
    if (is_ipv6) return 1U;
    tier().seal_with_ring_key(key, &job, 1);
    payload[-2] = payload[-1] = 0;  // no UDP checksum
    return 1U;
  });
  EXPECT_EQ(faults(Fault::cookies), 30U);
  EXPECT_EQ(all_faults(), 30U);
  EXPECT_EQ(report.answered, 290U);
}

// Padding of the authenticator is in no seal: an answer may be authentic and too long.
TEST_F(Load, J01_AnAnswerLongerThanItsRequestIsWrong) {
  const Numbers numbers(random_);
  const RequestWriter writer(Kind::nts, &session_, numbers, tier());
  AnswerVerifier verifier(Kind::nts, &session_, numbers, tier(), writer.payload_bytes(), 1ULL << 32);
  const nts::NtpTime now = nts::ntp_from_utc_ns(utc_ns());
  constexpr std::uint32_t seal_at = 48 + 36;
  constexpr std::uint32_t sealed_bytes = 16 + 104;
  for (const std::uint32_t padding : {0U, 4U}) {
    std::vector<std::uint8_t> answer(seal_at + 8 + 16 + sealed_bytes + padding);
    answer[0] = 4 << 3 | nts::mode_server;
    answer[1] = 1;
    nts::store_u64(&answer[24], numbers.transmit_of(padding));
    nts::store_u64(&answer[32], now.units);
    nts::store_u64(&answer[40], now.units);
    nts::store_u32(&answer[48], 0x0104'0000 | 36);
    numbers.write_identifier(padding, &answer[52]);
    nts::store_u32(&answer[seal_at], 0x0404'0000 | (8 + 16 + sealed_bytes + padding));
    nts::store_u32(&answer[seal_at + 4], 16 << 16 | sealed_bytes);
    std::vector<std::uint8_t> plaintext(104, static_cast<std::uint8_t>(padding));
    nts::store_u32(plaintext.data(), 0x0204'0000 | 104);
    nts::siv::RingKeySchedule s2c;
    tier().expand_ring_key(session_.s2c.data(), &s2c);
    nts::siv::Job job{.associated_data = answer.data(),
                      .nonce = &answer[seal_at + 8],
                      .plaintext = plaintext.data(),
                      .sealed = &answer[seal_at + 8 + 16],
                      .associated_data_bytes = seal_at,
                      .nonce_bytes = 16,
                      .plaintext_bytes = 104,
                      .authentic = 0};
    tier().seal_with_ring_key(&s2c, &job, 1);
    const Datagram datagram{answer.data(), static_cast<std::uint16_t>(answer.size())};
    Judgement judgement;
    verifier.judge({&datagram, 1}, now, 100, {&judgement, 1});
    EXPECT_EQ(judgement.fault, padding == 0 ? Fault::none : Fault::shape);
  }
}

TEST_F(Load, CookiesTheServerCannotOpenAreNamed) {
  for (auto& cookie : session_.cookies) cookie.back() ^= 1;
  make_generator(Kind::nts);
  static_cast<void>(load(32, pass));
  EXPECT_EQ(faults(Fault::kiss), 32U);
}

TEST_F(Load, NoTwoRequestsShareStampIdentifierOrNonce) {
  const Numbers numbers(random_);
  RequestWriter writer(Kind::nts, &session_, numbers, tier());
  std::set<std::vector<std::uint8_t>> stamps;
  std::set<std::vector<std::uint8_t>> identifiers;
  std::set<std::vector<std::uint8_t>> nonces;
  constexpr std::size_t requests = 4096;
  std::vector<std::uint8_t> room(writer.payload_bytes());
  for (std::uint64_t number = 0; number < requests; ++number) {
    const Datagram datagram{room.data(), writer.payload_bytes()};
    writer.write({&datagram, 1}, number);
    stamps.emplace(room.begin() + 40, room.begin() + 48);
    identifiers.emplace(room.begin() + 52, room.begin() + 84);
    nonces.emplace(room.end() - 32, room.end() - 16);
    ASSERT_EQ(numbers.number_of(numbers.transmit_of(number)), number);
  }
  EXPECT_EQ(stamps.size(), requests);
  EXPECT_EQ(identifiers.size(), requests);
  EXPECT_EQ(nonces.size(), requests);
}

}  // namespace
}  // namespace bench::load
