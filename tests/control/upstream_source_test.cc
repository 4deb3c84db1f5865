// One upstream in process, against a whole server on loopback that answers well, badly, or hostilely.
// Whatever a server does, no report is told that the clock role's desk would not believe.

#include "control/upstream_source.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <ctime>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "control/odd_address.h"
#include "control/role_loop.h"
#include "control/upstream_desk.h"
#include "hwclock/system_clock.h"
#include "hwclock/tsc.h"
#include "hwclock/tsc_fit.h"
#include "nts/wire.h"
#include "tests/control/loopback_server.h"

namespace {

using namespace control;
using namespace std::chrono_literals;
using boost::asio::ip::udp;
using testing::HasSubstr;
using testing::Not;
using tests::Behaviour;
using tests::Certificates;
using tests::LoopbackServer;
using tests::Octets;

constexpr std::chrono::seconds patience{60};
constexpr std::int64_t year_ns = std::int64_t{31'556'952} * 1'000'000'000;

double measured_ticks_per_s() {
  static const double rate = [] {
    const hwclock::Reading first = hwclock::read_clock(CLOCK_MONOTONIC_RAW);
    std::this_thread::sleep_for(100ms);
    return static_cast<double>(hwclock::tsc_hz_between(first, hwclock::read_clock(CLOCK_MONOTONIC_RAW)));
  }();
  return rate;
}

// One source and all that it told.
class Asking {
 public:
  explicit Asking(boost::asio::io_context& io, Upstream config)
      : config_(std::move(config)),
        around_{measured_ticks_per_s, [this] { return ours; },
                [this](const UpstreamReport& report) { hear(report); },
                [this](std::uint32_t, const udp::endpoint& server) { return rival(server); }},
        source_(config_, 0, 1, around_) {
    boost::asio::co_spawn(io, source_.run(), [this](std::exception_ptr failure) {
      if (failure) std::rethrow_exception(failure);
      is_over = true;
    });
  }

  [[nodiscard]] bool has_said(const std::string& text) const {
    return std::any_of(said.begin(), said.end(),
                       [&](const std::string& one) { return one.find(text) != std::string::npos; });
  }
  [[nodiscard]] const UpstreamReport& report() const { return source_.report(); }
  [[nodiscard]] std::string text() const { return report().text.data(); }
  [[nodiscard]] const UpstreamSource& source() const { return source_; }

  std::vector<boost::asio::ip::address> ours;
  std::function<std::string(const udp::endpoint&)> rival = [](const udp::endpoint&) { return ""; };
  std::vector<std::string> said;
  bool had_news = false;
  bool is_over = false;

 private:
  void hear(const UpstreamReport& report) {
    EXPECT_TRUE(is_believable(report, 1, hwclock::read_tsc_in_order(),
                              static_cast<std::uint64_t>(measured_ticks_per_s())))
        << report.text.data();
    said.emplace_back(report.text.data());
    had_news = had_news || report.has_news != 0;
  }

  const Upstream config_;
  const UpstreamSurroundings around_;
  UpstreamSource source_;
};

class UpstreamSourceTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { certificates = new Certificates; }
  static void TearDownTestSuite() { delete certificates; }
  void SetUp() override {
    ASSERT_TRUE(certificates->made()) << "the openssl command makes the certificates";
    if (!hwclock::has_invariant_tsc()) GTEST_SKIP() << "this machine has no TSC to measure by";
  }

  static Upstream plainly(const LoopbackServer& server, const char* host = "127.0.0.1") {
    Upstream one;
    one.host = host;
    one.port = server.ntp_port();
    one.minpoll = one.maxpoll = 0;
    return one;
  }
  static Upstream with_nts(const LoopbackServer& server) {
    Upstream one = plainly(server);
    one.port = server.ke_port();
    one.nts = true;
    one.ca = certificates->file("ca.pem");
    return one;
  }

  // Runs what asks until `is_done`; false when patience ends first.
  template <class Done>
  [[nodiscard]] bool runs_until(Done is_done) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!is_done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      io_.restart();
      io_.run_one_for(100ms);
    }
    return true;
  }

  static inline Certificates* certificates = nullptr;
  boost::asio::io_context io_{1};
};

// What a server that does not know the time, or sends a kiss, has in its header; sealed like everything else.
nts::ClockReading stratum_0(const char* code) {
  nts::ClockReading clock{};
  clock.leap = 3;
  clock.stratum = 0;
  clock.precision = -25;
  clock.reference_id = nts::load_u32(reinterpret_cast<const std::uint8_t*>(code));
  return clock;
}

// The kiss that anybody who has seen the request can send.
Octets unsealed_kiss(const Octets& request, const char* code) {
  Octets kiss(request.begin(), request.begin() + std::min<std::ptrdiff_t>(84, std::ssize(request)));
  kiss[0] = 0xe4;
  kiss[1] = 0;
  std::copy_n(request.begin() + 40, 8, kiss.begin() + 24);
  std::copy_n(code, 4, kiss.begin() + 12);
  return kiss;
}

Behaviour bent(std::function<std::vector<Octets>(const Octets&, const Octets&)> bend) {
  Behaviour behaviour;
  behaviour.bend = std::move(bend);
  return behaviour;
}

TEST_F(UpstreamSourceTest, MeasuresAServerWithoutAndWithNts) {
  const LoopbackServer server(*certificates, {.ahead_ns = 5'000'000'000});
  ASSERT_TRUE(server.is_up());
  Asking plain(io_, plainly(server)), sealed(io_, with_nts(server));
  ASSERT_TRUE(runs_until([&] { return plain.had_news && sealed.had_news; })) << plain.text() << sealed.text();
  for (const Asking* one : {&plain, &sealed}) {
    const UpstreamReport& report = one->report();
    EXPECT_EQ(report.phase, UpstreamPhase::measuring);
    EXPECT_EQ(report.stratum, 1U);
    EXPECT_EQ(report.reference_id, 0x7f000001U);
    EXPECT_EQ(report.reach & 1, 1U);
    EXPECT_EQ(report.authenticated, one == &sealed ? 1U : 0U);
    EXPECT_EQ(report.cookies, one == &sealed ? 8U : 0U);
    const std::int64_t later_ns = std::llround(
        static_cast<double>(hwclock::read_tsc_in_order() - report.tick) / measured_ticks_per_s() * 1e9);
    timespec utc{};
    ::clock_gettime(CLOCK_REALTIME, &utc);
    const std::int64_t now_ns = std::int64_t{utc.tv_sec} * 1'000'000'000 + utc.tv_nsec;
    EXPECT_NEAR(static_cast<double>(report.utc_ns + later_ns - now_ns), 5e9, 0.5e9);
  }
}

TEST_F(UpstreamSourceTest, ATimeThatCannotBeIsRefusedCountedAndToldAndNeverReported) {
  const LoopbackServer in_1960(*certificates, {.ahead_ns = -66 * year_ns});
  const LoopbackServer sealed_in_1969(*certificates, {.ahead_ns = -57 * year_ns});
  Asking plain(io_, plainly(in_1960)), sealed(io_, with_nts(sealed_in_1969));
  ASSERT_TRUE(runs_until([&] { return plain.has_said("(2 so far)") && sealed.has_said("(2 so far)"); }))
      << plain.text() << sealed.text();
  for (const Asking* one : {&plain, &sealed}) {
    EXPECT_FALSE(one->had_news);
    EXPECT_EQ(one->report().phase, UpstreamPhase::unsynchronised);
    EXPECT_EQ(one->report().reach, 0U);
    EXPECT_THAT(one->text(), HasSubstr("names a time that cannot be"));
  }
}

TEST_F(UpstreamSourceTest, NoStampsWhateverTheyAreMakeAReportThatTheDeskDoesNotBelieve) {
  const std::vector<std::uint64_t> stamps = {
      1,           0x7fff'ffff'ffff'ffff, 0x8000'0000'0000'0000, ~0ULL, 0x83aa'7e80'0000'0000 /* 1970 */,
      ~0ULL << 32, 0x83aa'7e7f'ffff'ffff};
  const LoopbackServer server(
      *certificates, bent([&, asked = std::size_t{0}](const Octets&, const Octets& answer) mutable {
        Octets bad = answer;
        nts::store_u64(bad.data() + 32, stamps[asked % stamps.size()]);
        nts::store_u64(bad.data() + 40, stamps[asked / stamps.size() % stamps.size()]);
        ++asked;
        return std::vector<Octets>{bad};
      }));
  Upstream one = plainly(server);
  std::vector<std::unique_ptr<Asking>> many;  // each gets other stamps
  for (std::size_t i = 0; i < stamps.size() * stamps.size(); ++i)
    many.push_back(std::make_unique<Asking>(io_, one));
  EXPECT_TRUE(runs_until([&] {
    return std::all_of(many.begin(), many.end(), [](const auto& asking) { return !asking->said.empty(); });
  }));
}

TEST_F(UpstreamSourceTest, AGoodAnswerBesideAnImpossibleOneKeepsWhatWasLearned) {
  const LoopbackServer server(*certificates, bent([asked = 0](const Octets&, const Octets& answer) mutable {
    Octets bad = answer;
    nts::store_u64(bad.data() + 32, 0x8000'0000'0000'0000);
    nts::store_u64(bad.data() + 40, 0x8000'0000'0000'0001);
    return std::vector<Octets>{asked++ % 2 == 0 ? answer : bad};
  }));
  Asking asking(io_, plainly(server));
  ASSERT_TRUE(runs_until([&] { return asking.has_said("(2 so far)"); })) << asking.text();
  EXPECT_EQ(asking.report().has_news, 1U);
  EXPECT_NE(asking.report().reach, 0U);
}

TEST_F(UpstreamSourceTest, P43_RateIsObeyedFromAServerThatIsAskedPlainlyOrUnderItsSeal) {
  const LoopbackServer plain_server(*certificates, bent([](const Octets& request, const Octets&) {
    return std::vector<Octets>{unsealed_kiss(request, "RATE")};
  }));
  const LoopbackServer sealing(*certificates, {.clock = stratum_0("RATE")});
  Asking plain(io_, plainly(plain_server)), sealed(io_, with_nts(sealing));
  ASSERT_TRUE(runs_until([&] { return plain.report().poll != 0 && sealed.report().poll != 0; }))
      << plain.text() << sealed.text();
  EXPECT_THAT(plain.text(), HasSubstr("(RATE)"));
  EXPECT_THAT(sealed.text(), HasSubstr("(RATE)"));
}

// RFC 8915 section 5.7: whoever sees a request could silence a client for good.
TEST_F(UpstreamSourceTest, P27_P43_NoKissIsObeyedWithoutItsSealWhereThereIsNts) {
  for (const char* code : {"RATE", "DENY", "RSTR"}) {
    const LoopbackServer server(
        *certificates, bent([code, asked = 0](const Octets& request, const Octets& answer) mutable {
          return std::vector<Octets>{asked++ < 2 ? unsealed_kiss(request, code) : answer};
        }));
    Asking asking(io_, with_nts(server));
    ASSERT_TRUE(runs_until([&] { return asking.had_news; })) << asking.text();
    EXPECT_TRUE(asking.has_said("without a seal")) << code;
    EXPECT_EQ(asking.report().poll, 0U) << code;
    EXPECT_FALSE(asking.is_over) << code;
  }
}

TEST_F(UpstreamSourceTest, P43_DenyIsFinalPlainlyAndUnderItsSeal) {
  const LoopbackServer plain_server(*certificates, bent([](const Octets& request, const Octets&) {
    return std::vector<Octets>{unsealed_kiss(request, "DENY")};
  }));
  const LoopbackServer sealing(*certificates, {.clock = stratum_0("RSTR")});
  Asking plain(io_, plainly(plain_server)), sealed(io_, with_nts(sealing));
  ASSERT_TRUE(runs_until([&] { return plain.is_over && sealed.is_over; })) << plain.text() << sealed.text();
  EXPECT_EQ(plain.report().phase, UpstreamPhase::stopped);
  EXPECT_EQ(sealed.report().phase, UpstreamPhase::stopped);
  EXPECT_EQ(plain_server.client_ports().size(), 1U);
  EXPECT_EQ(sealing.client_ports().size(), 1U);
}

TEST_F(UpstreamSourceTest, P27_NtsnAsksForNewKeys) {
  const LoopbackServer server(*certificates, {.ntp_has_other_keys = true});
  Asking asking(io_, with_nts(server));
  ASSERT_TRUE(runs_until([&] { return asking.has_said("(NTSN)"); })) << asking.text();
  EXPECT_EQ(asking.report().phase, UpstreamPhase::agreeing);
  EXPECT_FALSE(asking.source().asked());
  EXPECT_FALSE(asking.had_news);
}

TEST_F(UpstreamSourceTest, ALoopIsRefusedAndForgottenWhereverItShows) {
  const LoopbackServer server(*certificates, {});
  Asking ourselves(io_, plainly(server));
  ourselves.ours = {boost::asio::ip::make_address("127.0.0.1")};
  Behaviour behaviour;
  behaviour.clock.stratum = 3;
  behaviour.clock.reference_id = 0xc0000207;
  const LoopbackServer follower(*certificates, behaviour);
  Asking followed(io_, plainly(follower));
  ASSERT_TRUE(runs_until([&] { return followed.had_news; })) << followed.text();
  followed.ours = {boost::asio::ip::make_address("192.0.2.7")};
  ASSERT_TRUE(runs_until([&] {
    return ourselves.report().phase == UpstreamPhase::loop && followed.report().phase == UpstreamPhase::loop;
  }));
  EXPECT_THAT(ourselves.text(), HasSubstr("127.0.0.1 is an address of our own"));
  EXPECT_THAT(followed.text(), HasSubstr("it takes its time from us (192.0.2.7)"));
  EXPECT_EQ(followed.report().has_news, 0U);
  EXPECT_TRUE(server.client_ports().empty()) << "we do not even ask";
}

TEST_F(UpstreamSourceTest, AServerThatAnotherSourceAsksByAnotherNameHasNoSecondVote) {
  const LoopbackServer server(*certificates, {});
  Asking asking(io_, plainly(server));
  ASSERT_TRUE(runs_until([&] { return asking.had_news; })) << asking.text();
  const udp::endpoint it(boost::asio::ip::make_address("127.0.0.1"), server.ntp_port());
  EXPECT_EQ(asking.source().asked(), it);
  asking.rival = [&](const udp::endpoint& of) { return of == it ? "other.example.net" : ""; };
  ASSERT_TRUE(runs_until([&] { return asking.report().phase == UpstreamPhase::loop; })) << asking.text();
  EXPECT_THAT(asking.text(), HasSubstr("127.0.0.1 is asked as other.example.net already"));
  EXPECT_EQ(asking.report().has_news, 0U);
  ASSERT_TRUE(runs_until([&] { return !asking.source().asked(); }))
      << "it does not hold what it does not ask";
}

TEST_F(UpstreamSourceTest, OfAServersAnswersOnlyThoseToThisRequestCount) {
  const LoopbackServer server(*certificates, bent([](const Octets&, const Octets& answer) {
    Octets wrong_origin = answer;
    wrong_origin[30] ^= 1;
    nts::store_u64(wrong_origin.data() + 32, 0xe000'0000'0000'0000);
    return std::vector<Octets>{Octets(7, 1), wrong_origin, answer};
  }));
  const LoopbackServer wrong(*certificates, bent([](const Octets&, const Octets& answer) {
    Octets wrong_origin = answer;
    wrong_origin[30] ^= 1;
    return std::vector<Octets>{wrong_origin};
  }));
  const auto replay = [first = Octets()](const Octets&, const Octets& answer) mutable {
    if (first.empty()) first = answer;
    return std::vector<Octets>{first};
  };
  const LoopbackServer replayed(*certificates, bent(replay)), replayed_sealed(*certificates, bent(replay));
  Asking good(io_, plainly(server)), bad(io_, plainly(wrong)), again(io_, plainly(replayed)),
      again_sealed(io_, with_nts(replayed_sealed));
  ASSERT_TRUE(runs_until([&] {
    return good.had_news && bad.has_said("does not answer") && again.has_said("does not answer") &&
           again_sealed.has_said("does not answer");
  }));
  EXPECT_FALSE(bad.had_news);
  for (const Asking* one : {&again, &again_sealed}) {
    EXPECT_TRUE(one->had_news);
    EXPECT_EQ(one->report().reach & 1, 0U) << "an answer counts once";
  }
}

TEST_F(UpstreamSourceTest, B10_WhoDoesNotKnowTheTimeOrContradictsItselfGivesNone) {
  Behaviour stratum_16;
  stratum_16.bend = [](const Octets&, const Octets& answer) {
    Octets bent = answer;
    bent[1] = 16;
    return std::vector<Octets>{bent};
  };
  const LoopbackServer none(*certificates, {.clock = stratum_0("INIT")}), deep(*certificates, stratum_16),
      backwards(*certificates, bent([](const Octets&, const Octets&answer) {
        Octets bad = answer;
        nts::store_u64(bad.data() + 40, nts::load_u64(bad.data() + 32) - 1);
        return std::vector<Octets>{bad};
      }));
  Asking first(io_, with_nts(none)), second(io_, plainly(deep)), third(io_, plainly(backwards));
  ASSERT_TRUE(runs_until([&] {
    return first.has_said("does not know the time") && second.has_said("does not know the time") &&
           third.has_said("contradict themselves");
  }));
  for (const Asking* one : {&first, &second, &third}) {
    EXPECT_FALSE(one->had_news);
    EXPECT_EQ(one->report().reach, 0U);
    EXPECT_EQ(one->report().phase, UpstreamPhase::unsynchronised);
  }
}

// Eight polls of a second each: the two wait together.
TEST_F(UpstreamSourceTest, SilenceLooksTheNameUpAnewAndAnAnswerThatHelpsNobodyIsNoSilence) {
  const LoopbackServer silent(*certificates,
                              bent([](const Octets&, const Octets&) { return std::vector<Octets>{}; }));
  const LoopbackServer useless(*certificates, {.clock = stratum_0("INIT")});
  Asking lost(io_, plainly(silent, "localhost")), answered(io_, plainly(useless, "localhost"));
  ASSERT_TRUE(runs_until([&] {
    return lost.has_said("has not answered for 8 polls; looking its name up anew") &&
           useless.client_ports().size() > 10;
  })) << lost.text();
  EXPECT_TRUE(lost.has_said("does not answer"));
  EXPECT_FALSE(lost.source().asked());
  EXPECT_FALSE(answered.has_said("has not answered"));
  EXPECT_FALSE(lost.had_news);
}

TEST_F(UpstreamSourceTest, ANameThatIsNoneIsSaidInASentence) {
  const LoopbackServer server(*certificates, {});
  Asking odd(io_, plainly(server, "127.1")), none(io_, plainly(server, "no..such"));
  ASSERT_TRUE(runs_until([&] { return !odd.said.empty() && !none.said.empty(); }));
  EXPECT_EQ(odd.report().phase, UpstreamPhase::failed);
  EXPECT_THAT(odd.text(), HasSubstr("127.1: is no address as addresses are written"));
  EXPECT_THAT(none.text(), HasSubstr("no..such: the name has no address"));
}

TEST(NameLookup, KnowsAddressesThatAreWrittenOddly) {
  for (const char* odd : {"127.1", "010.0.0.1", "2130706433", "0x7f.1", "0x7f000001", "192.0.2.1.",
                          "1.2.3.4.5", "a.1", "300.1.1.1", "0X7F.0.0.1", "0x"})
    EXPECT_TRUE(is_odd_address(odd)) << odd;
  for (const char* good :
       {"192.0.2.1", "2001:db8::1", "a.example", "3com.example", "1.example", "x1", "0xg", "", "."})
    EXPECT_FALSE(is_odd_address(good)) << good;
}

}  // namespace
