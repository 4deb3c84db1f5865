// Who is served, through a whole worker: the access rules, the limit and the budget of kisses, with every
// packet counted once.
#include "dataplane/admission.h"

#include "nts/wire.h"
#include "tests/support/served_worker.h"

namespace {

using nts::Verdict;
using shm::Access;
using shm::FrameVerdict;
using tests::FrameSpec;
using tests::Octets;

constexpr std::size_t payload_offset = 14 + 20 + 8;

std::uint32_t code_of(const Octets& frame) { return nts::load_u32(frame.data() + payload_offset + 12); }

class AdmissionTest : public tests::ServedWorker {
 protected:
  // Publishes settings that differ by what `change` does; the worker sees them in its next burst.
  template <class Change>
  void change(Change change) {
    shm::Settings settings;
    std::uint64_t seen = 0;
    ASSERT_TRUE(settings_page_->settings.read(settings, seen));
    ++settings.revision;
    change(settings);
    settings_page_->settings.publish(settings);
  }
  void rule(Access access, std::array<std::uint8_t, 4> address, std::uint8_t bits) {
    change([&](shm::Settings& settings) {
      shm::AccessRule& made = settings.access_rules[settings.access_rule_count++];
      made.family = 4;
      made.prefix_bits = bits;
      made.access = access;
      std::copy(address.begin(), address.end(), made.octets);
    });
  }
  std::vector<Octets> ask(int times, const FrameSpec& spec) {
    for (int i = 0; i < times; ++i) rings_->arrive(spec);
    return serve();
  }
  [[nodiscard]] FrameSpec nts() const { return request(tests::nts_request()); }
};

TEST_F(AdmissionTest, B17_ADeniedSourceGetsNothingOrAKissThatIsNoLongerThanItsRequest) {
  rule(Access::deny, {0, 0, 0, 0}, 0);
  EXPECT_TRUE(ask(3, request()).empty());
  EXPECT_EQ(counted(FrameVerdict::drop_denied), 3U);
  change([](shm::Settings& settings) { settings.kiss_refused = 1; });
  const std::vector<Octets> kisses = ask(2, request());
  ASSERT_EQ(kisses.size(), 2U);
  EXPECT_EQ(code_of(kisses[0]), nts::kiss_code_deny);
  EXPECT_EQ(kisses[0][payload_offset] >> 6, 3) << "leap";
  EXPECT_EQ(kisses[0][payload_offset + 1], 0) << "stratum";
  EXPECT_LE(kisses[0].size(), payload_offset + tests::plain_request().size());
  EXPECT_EQ(counted(Verdict::kiss_deny), 2U);
  Octets garbage = tests::plain_request();
  garbage[0] = 0x24;  // mode 4
  EXPECT_TRUE(ask(1, request(garbage)).empty()) << "only a request is kissed";
}

TEST_F(AdmissionTest, B17_ASourceThatMustUseNtsGetsNoPlainAnswerAndItsNtsAnswer) {
  rule(Access::require_nts, {0, 0, 0, 0}, 0);
  EXPECT_TRUE(ask(2, request()).empty());
  EXPECT_EQ(counted(Verdict::drop_plain_refused), 2U);
  EXPECT_EQ(ask(2, nts()).size(), 2U);
  EXPECT_EQ(counted(Verdict::answer_nts), 2U);
  change([](shm::Settings& settings) { settings.kiss_refused = 1; });
  const std::vector<Octets> kisses = ask(1, request());
  ASSERT_EQ(kisses.size(), 1U);
  EXPECT_EQ(code_of(kisses[0]), nts::kiss_code_deny);
  EXPECT_EQ(ask(1, nts()).size(), 1U);
}

TEST_F(AdmissionTest, B17_ALongerPrefixLetsItsPartThroughAndRulesGoWhileItRuns) {
  rule(Access::deny, {0, 0, 0, 0}, 0);
  const FrameSpec spec = request();
  rule(Access::allow, {spec.source[0], spec.source[1], 0, 0}, 16);
  EXPECT_EQ(ask(1, spec).size(), 1U);
  change([](shm::Settings& settings) { settings.access_rule_count = 1; });
  EXPECT_TRUE(ask(1, spec).empty());
  change([](shm::Settings& settings) { settings.access_rule_count = 0; });
  EXPECT_EQ(ask(1, spec).size(), 1U);
}

TEST_F(AdmissionTest, B15_B16_WhoAsksTooMuchIsKissedWithinTheBudgetAndNtsIsUntouched) {
  change([](shm::Settings& settings) {
    settings.rate_limit = {
        .requests_per_s = 1, .burst = 5, .leak = 0, .network_factor = 0, .sources = 0, .kisses_per_s = 3};
    settings.kiss_limited = 1;
  });
  const std::vector<Octets> answers = ask(100, request());
  EXPECT_EQ(counted(Verdict::answer_plain), 5U);
  EXPECT_EQ(counted(Verdict::kiss_rate), 3U);
  EXPECT_EQ(counted(Verdict::drop_kiss_limited), 92U);
  ASSERT_EQ(answers.size(), 8U);
  EXPECT_EQ(code_of(answers[7]), nts::kiss_code_rate);
  EXPECT_EQ(ask(5, nts()).size(), 5U);
  EXPECT_TRUE(ask(5, nts()).empty()) << "its own allowance, and no kiss without a seal";
  EXPECT_EQ(counted(FrameVerdict::drop_rate_limited), 5U);
  change([](shm::Settings& settings) { settings.rate_limit.requests_per_s = 0; });
  EXPECT_EQ(ask(50, request()).size(), 50U);
}

// What is no request may be an answer to the host's own client, which asks from our very port: the kernel
// gets it, whatever is thought of the server that sent it, and it is taken from nobody's allowance.
TEST_F(AdmissionTest, B15_B17_WhatIsNoRequestIsNeitherDeniedNorCounted) {
  Octets answer = tests::plain_request();
  answer[0] = 0x24;  // mode 4
  rule(Access::deny, {0, 0, 0, 0}, 0);
  EXPECT_TRUE(ask(3, request(answer)).empty());
  EXPECT_TRUE(ask(2, request(Octets{})).empty());
  EXPECT_EQ(counted(Verdict::drop_mode), 3U);
  EXPECT_EQ(counted(Verdict::drop_short), 2U);
  EXPECT_EQ(counted(FrameVerdict::drop_denied), 0U);
  change([](shm::Settings& settings) {
    settings.access_rule_count = 0;
    settings.rate_limit = {
        .requests_per_s = 1, .burst = 5, .leak = 0, .network_factor = 0, .sources = 0, .kisses_per_s = 3};
  });
  EXPECT_TRUE(ask(100, request(answer)).empty());
  EXPECT_EQ(counted(Verdict::drop_mode), 103U);
  EXPECT_EQ(ask(5, request()).size(), 5U);
}

TEST_F(AdmissionTest, B15_SomeRequestsLeakSoThatNobodyCanBeSilencedByForgery) {
  change([](shm::Settings& settings) {
    settings.rate_limit = {
        .requests_per_s = 1, .burst = 1, .leak = 4, .network_factor = 0, .sources = 0, .kisses_per_s = 0};
  });
  std::size_t answered = 0;
  for (int i = 0; i < 40; ++i) answered += ask(100, request()).size();
  EXPECT_GT(answered, 800U);
  EXPECT_LT(answered, 1200U);
}

TEST_F(AdmissionTest, J02_NaksAreCappedAndGoodRequestsAreNot) {
  change([](shm::Settings& settings) { settings.rate_limit.kisses_per_s = 10; });
  Octets unknown_key = tests::nts_request();
  FrameSpec bad = request(unknown_key);
  // The key id is the first of the cookie, behind header, identifier and the field's own header.
  for (std::size_t at = 48 + 36 + 4; at < 48 + 36 + 8; ++at) bad.payload[at] ^= 0xff;
  std::size_t good = 0;
  for (int i = 0; i < 100; ++i) {
    rings_->arrive(bad);
    rings_->arrive(nts());
  }
  for (const Octets& frame : serve()) good += code_of(frame) != nts::kiss_ntsn ? 1 : 0;
  EXPECT_EQ(good, 100U);
  EXPECT_EQ(counted(Verdict::nak_key_unknown), 10U);
  EXPECT_EQ(counted(Verdict::drop_kiss_limited), 90U);
}

}  // namespace
