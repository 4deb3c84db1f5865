// Two addresses of one server around a leap second: one tells UTC and the leap, the other smeared time and
// none.

#include <gtest/gtest.h>

#include "nts/wire.h"
#include "tests/support/served_worker.h"

namespace {

using tests::Octets;

constexpr std::size_t ipv4_payload = 14 + 20 + 8;
constexpr std::size_t ipv6_payload = 14 + 40 + 8;
constexpr std::uint64_t behind_units = std::uint64_t{1} << 30;  // a quarter of a second
constexpr std::uint32_t smer = 0x534d4552;

class SmearedAddress : public tests::ServedWorker {
 protected:
  void SetUp() override {
    tests::ServedWorker::SetUp();
    if (IsSkipped()) return;
    smear_ipv6(true);
  }

  // IPv6 is smeared, IPv4 is not.
  void smear_ipv6(bool is_smeared) {
    settings_.addresses[1].is_smeared = is_smeared;
    publish_settings();
  }

  hwclock::ClockState clock_in_window() const {
    hwclock::ClockState state = tests::good_clock();
    state.leap = 1;
    state.dispersion0_ns = 1000;
    state.smear.line = {state.tsc0, state.ntp0 - behind_units, state.mult};
    state.smear.valid_until = state.tsc0 + 10 * state.tsc_hz;
    state.smear.off_ns = 260'000'000;
    state.smear.reference_id = smer;
    return state;
  }

  // The payload of the only answer.
  Octets asked(bool is_ipv6, Octets payload = tests::plain_request()) {
    tests::FrameSpec spec = request(std::move(payload));
    spec.is_ipv6 = is_ipv6;
    rings_->arrive(spec);
    const std::vector<Octets> answers = serve();
    if (answers.size() != 1) {
      ADD_FAILURE() << answers.size() << " answers";
      return Octets(48);
    }
    EXPECT_TRUE(tests::is_sound(answers[0]));
    const auto begin = static_cast<std::ptrdiff_t>(is_ipv6 ? ipv6_payload : ipv4_payload);
    return {answers[0].begin() + begin, answers[0].end()};
  }

  static std::uint64_t stamp_of(const Octets& answer, std::size_t offset) {
    return nts::load_u64(answer.data() + offset);
  }
  static std::uint32_t word_of(const Octets& answer, std::size_t offset) {
    return nts::load_u32(answer.data() + offset);
  }
};

TEST_F(SmearedAddress, B14_TellsSmearedTimeAndNoLeapWhileTheOtherTellsUtcAndTheLeap) {
  clock_page_->clock.publish(clock_in_window());
  const Octets utc = asked(false);
  const Octets smeared = asked(true);
  EXPECT_EQ(utc[0] >> 6, 1);
  EXPECT_EQ(smeared[0] >> 6, 0) << "RFC 8633 section 3.7.1: never announced";
  EXPECT_EQ(word_of(smeared, nts::header::reference_id), smer);
  EXPECT_NE(word_of(utc, nts::header::reference_id), smer);
  EXPECT_EQ(smeared[nts::header::stratum], 1);
  for (const std::size_t offset : {nts::header::receive_time, nts::header::transmit_time}) {
    const auto behind = static_cast<std::int64_t>(stamp_of(utc, offset) - stamp_of(smeared, offset));
    EXPECT_NEAR(static_cast<double>(behind) / 0x1p32, 0.25, 0.2) << "asked one after the other";
  }
  EXPECT_LT(stamp_of(smeared, nts::header::receive_time), stamp_of(smeared, nts::header::transmit_time));
  EXPECT_LE(stamp_of(smeared, nts::header::reference_time), stamp_of(smeared, nts::header::receive_time));
  const double dispersion_s = word_of(smeared, nts::header::root_dispersion) / 65536.0;
  EXPECT_GE(dispersion_s, 0.26) << "it is off UTC by so much, and says so";
  EXPECT_LT(dispersion_s, 0.27);
}

TEST_F(SmearedAddress, B14_AuthenticatedAnswersAreSealedOverSmearedTime) {
  clock_page_->clock.publish(clock_in_window());
  const Octets answer = asked(true, tests::nts_request());
  bool is_authentic = false;
  EXPECT_EQ(tests::cookies_of_answer(answer, tests::key_of(0x52), is_authentic).size(), 1U);
  EXPECT_TRUE(is_authentic);
  EXPECT_EQ(word_of(answer, nts::header::reference_id), smer);
}

TEST_F(SmearedAddress, B14_BothInOneBurstAreToldApart) {
  clock_page_->clock.publish(clock_in_window());
  for (int i = 0; i < 10; ++i) {
    tests::FrameSpec spec = request();
    spec.is_ipv6 = i % 3 == 1;
    rings_->arrive(spec);
  }
  const std::vector<Octets> answers = serve();
  ASSERT_EQ(answers.size(), 10U);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const bool is_smeared = i % 3 == 1;
    const std::size_t payload = is_smeared ? ipv6_payload : ipv4_payload;
    EXPECT_EQ(nts::load_u32(answers[i].data() + payload + nts::header::reference_id) == smer, is_smeared)
        << i;
    EXPECT_EQ(answers[i][payload] >> 6, is_smeared ? 0 : 1) << i;
  }
}

// The whole way of the field, frame to frame: asked for by two, one of them smeared.
TEST_F(SmearedAddress, B14_TheMonoRootIsToldAsEachIsServed) {
  hwclock::ClockState state = clock_in_window();
  state.leap = 0;
  state.mono = {{state.tsc0, 0xabcd0000'00000000, state.mult}, 77, 0};
  clock_page_->clock.publish(state);
  Octets question(24, 0);
  nts::store_u32(question.data(), 0xf5bedd9a);
  const Octets request = tests::RequestBuilder().field(0xf323, question).octets();
  const Octets utc = asked(false, request);
  const Octets smeared = asked(true, request);
  for (const Octets& answer : {utc, smeared}) {
    ASSERT_EQ(answer.size(), request.size()) << "as long as it came";
    EXPECT_EQ(word_of(answer, 48), 0xf323001cU);
    EXPECT_EQ(word_of(answer, 52), 0xf5bedd9aU);
  }
  const auto passed = static_cast<std::int64_t>(stamp_of(utc, nts::header::receive_time) - state.ntp0);
  EXPECT_EQ(static_cast<std::int64_t>(stamp_of(utc, 64) - 0xabcd0000'00000000), passed)
      << "the same moment on two lines of one rate";
  EXPECT_EQ(word_of(utc, 72), 77U);
  EXPECT_EQ(stamp_of(smeared, 64), 0U);
  EXPECT_EQ(word_of(smeared, 72), 0U);
  EXPECT_GT(word_of(smeared, 60), word_of(utc, 60));
}

TEST_F(SmearedAddress, B14_IsNotToldOfALeapBeforeTheWindowEither) {
  hwclock::ClockState state = tests::good_clock();
  state.leap = 1;
  clock_page_->clock.publish(state);
  EXPECT_EQ(asked(false)[0] >> 6, 1);
  EXPECT_EQ(asked(true)[0] >> 6, 0);
  smear_ipv6(false);
  EXPECT_EQ(asked(true)[0] >> 6, 1) << "from then on it is like the other";
}

TEST_F(SmearedAddress, B14_GoesOnWhileUtcInsertsItsSecond) {
  hwclock::ClockState state = clock_in_window();
  state.leap = 3;
  clock_page_->clock.publish(state);
  EXPECT_EQ(asked(false)[0] >> 6, 3);
  const Octets smeared = asked(true);
  EXPECT_EQ(smeared[0] >> 6, 0);
  EXPECT_EQ(smeared[nts::header::stratum], 1);
}

TEST_F(SmearedAddress, B14_B10_IsUnsynchronisedWhenTheServerIsOrNobodyRenewsTheSmear) {
  hwclock::ClockState state = clock_in_window();
  state.leap = 3;
  state.stratum = 0;
  clock_page_->clock.publish(state);
  EXPECT_EQ(asked(true)[0] >> 6, 3);
  state = clock_in_window();
  state.smear.valid_until = state.tsc0 - state.tsc_hz;
  clock_page_->clock.publish(state);
  const Octets smeared = asked(true);
  EXPECT_EQ(smeared[0] >> 6, 3) << "the rate of a smear changes: a line from before is no time";
  EXPECT_EQ(smeared[nts::header::stratum], 0);
  EXPECT_EQ(asked(false)[0] >> 6, 1) << "UTC is as good as ever";
}

}  // namespace
