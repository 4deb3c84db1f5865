// The upstream role's word, judged: what ends the conversation, what is kept, and what people are shown.

#include "control/upstream_desk.h"

#include <functional>
#include <gtest/gtest.h>

#include "control/upstream_status.h"

namespace control {
namespace {

constexpr std::uint64_t hz = 1'000'000'000;
constexpr std::uint64_t now = 100 * hz;
constexpr std::int64_t utc_ns = 1'800'000'000'000'000'000;
constexpr hwclock::ClockGuess ours{now, utc_ns, 1.0};

Config config_of(std::size_t count) {
  Config config;
  for (std::size_t i = 0; i < count; ++i) {
    Upstream one;
    one.host = "u" + std::to_string(i) + ".example.net";
    config.upstreams.push_back(one);
  }
  return config;
}

UpstreamReport report_of(std::uint32_t index, std::uint32_t count, std::int64_t off_ns = 0) {
  UpstreamReport report{};
  report.header = {message_magic, MessageKind::upstream_report, 1};
  report.source_index = index;
  report.source_count = count;
  report.phase = UpstreamPhase::measuring;
  report.reach = 0xff;
  report.poll = 6;
  report.has_news = 1;
  report.stratum = 2;
  report.reference_id = 0x0a7b0002;
  report.tick = report.newest_tick = now - 2 * hz;
  report.utc_ns = utc_ns - 2'000'000'000 + off_ns;
  report.delay_ns = 1'000'000;
  report.dispersion_ns = 100'000;
  put_text("10.123.0.2", report.address);
  return report;
}

using Lies = std::vector<std::function<void(UpstreamReport&)>>;

TEST(UpstreamDesk, AReportThatIsNoneOfOursEndsTheConversation) {
  ASSERT_TRUE(is_believable(report_of(0, 2), 2, now, hz));
  const Lies lies = {
      [](UpstreamReport& r) { r.source_index = 2; },
      [](UpstreamReport& r) { r.source_count = 3; },
      [](UpstreamReport& r) { r.source_count = 0; },
      [](UpstreamReport& r) { r.phase = static_cast<UpstreamPhase>(upstream_phases); },
      [](UpstreamReport& r) { r.reach = 256; },
      [](UpstreamReport& r) { r.poll = 18; },
      [](UpstreamReport& r) { r.cookies = 9; },
      [](UpstreamReport& r) { r.authenticated = 2; },
      [](UpstreamReport& r) { r.has_news = 2; },
  };
  for (std::size_t i = 0; i < lies.size(); ++i) {
    UpstreamReport report = report_of(0, 2);
    lies[i](report);
    EXPECT_FALSE(is_believable(report, 2, now, hz)) << i;
    UpstreamDesk desk(config_of(2));
    EXPECT_FALSE(desk.take(report, now, hz)) << i;
    EXPECT_FALSE(desk.panel().member(0).has_news) << i;
  }
}

TEST(UpstreamDesk, TheImpossibleOfOneServerIsNotBelievedAndTakesNoOtherFromUs) {
  const Lies lies = {
      [](UpstreamReport& r) { r.leap = 3; },
      [](UpstreamReport& r) { r.stratum = 0; },
      [](UpstreamReport& r) { r.stratum = 16; },
      [](UpstreamReport& r) { r.utc_ns = -1; },
      [](UpstreamReport& r) { r.utc_ns = INT64_MIN; },
      [](UpstreamReport& r) { r.utc_ns = INT64_MAX; },
      [](UpstreamReport& r) { r.delay_ns = UINT64_MAX; },
      [](UpstreamReport& r) { r.dispersion_ns = UINT64_MAX; },
      [](UpstreamReport& r) { r.jitter_ns = UINT64_MAX; },
      [](UpstreamReport& r) { r.root_delay_ns = UINT64_MAX; },
      [](UpstreamReport& r) { r.root_dispersion_ns = UINT64_MAX; },
      [](UpstreamReport& r) { r.newest_tick = r.tick = now + 2 * hz; },
      [](UpstreamReport& r) { r.newest_tick = r.tick - 1; },
      [](UpstreamReport& r) { r.tick = now - 100'001 * hz; },
      [](UpstreamReport& r) { r.newest_tick = r.tick = now - 100'001 * hz; },
      [](UpstreamReport& r) { r.tick = now - (std::uint64_t{1} << 63) + hz; },  // once overflowed the panel
  };
  for (std::size_t i = 0; i < lies.size(); ++i) {
    UpstreamReport report = report_of(0, 2);
    lies[i](report);
    EXPECT_FALSE(is_believable(report, 2, now, hz)) << i;
    UpstreamDesk desk(config_of(2));
    ASSERT_TRUE(desk.take(report_of(0, 2), now, hz)) << i;
    ASSERT_TRUE(desk.take(report_of(1, 2), now, hz)) << i;
    EXPECT_TRUE(desk.take(report, now, hz)) << i << ": the conversation goes on";
    EXPECT_FALSE(desk.panel().member(0).has_news) << i << ": nor what it said before";
    EXPECT_TRUE(desk.panel().member(1).has_news) << i;
    EXPECT_TRUE(desk.take(report_of(0, 2), now, hz)) << i;
    EXPECT_TRUE(desk.panel().member(0).has_news) << i << ": believed again once it can be";
  }
}

TEST(UpstreamDesk, KeepsWhatWasSaidWhenTheRoleBeginsAnewAndForgetsOfALoop) {
  UpstreamDesk desk(config_of(1));
  ASSERT_TRUE(desk.take(report_of(0, 1), now, hz));
  UpstreamReport fresh = report_of(0, 1);
  fresh.has_news = fresh.reach = 0;
  ASSERT_TRUE(desk.take(fresh, now, hz));
  EXPECT_TRUE(desk.panel().member(0).has_news);
  EXPECT_EQ(desk.panel().member(0).reach, 0);
  fresh.phase = UpstreamPhase::loop;
  ASSERT_TRUE(desk.take(fresh, now, hz));
  EXPECT_FALSE(desk.panel().member(0).has_news);
}

TEST(UpstreamDesk, ShowsWhoAgreesWhoLeadsAndWhoLies) {
  Config config = config_of(4);
  config.upstreams[2].trust = UpstreamTrust::witness;
  config.upstreams[1].nts = true;
  UpstreamDesk desk(config);
  ASSERT_TRUE(desk.take(report_of(0, 4, 900'000'000), now, hz));
  UpstreamReport leader = report_of(1, 4, 3'000);
  leader.stratum = 1;
  leader.authenticated = 1;
  leader.cookies = 8;
  ASSERT_TRUE(desk.take(leader, now, hz));
  ASSERT_TRUE(desk.take(report_of(2, 4), now, hz));
  desk.set_running(true);
  UpstreamListReply reply{};
  desk.fill(reply, ours);
  ASSERT_EQ(reply.count, 4U);
  EXPECT_EQ(reply.entries[0].verdict, UpstreamVerdict::falseticker);
  EXPECT_EQ(reply.entries[1].verdict, UpstreamVerdict::leader);
  EXPECT_EQ(reply.entries[2].verdict, UpstreamVerdict::witness);
  EXPECT_EQ(reply.entries[3].verdict, UpstreamVerdict::unusable);
  EXPECT_EQ(reply.entries[1].offset_ns, 3'000);
  EXPECT_EQ(reply.entries[1].age_s, 2U);

  const nlohmann::json report = upstream_report(config, &reply);
  EXPECT_EQ(report["running"], true);
  const nlohmann::json& shown = report["upstreams"][1];
  EXPECT_EQ(shown["host"], "u1.example.net");
  EXPECT_EQ(shown["address"], "10.123.0.2");
  EXPECT_EQ(shown["phase"], "measuring");
  EXPECT_EQ(shown["verdict"], "leader");
  EXPECT_EQ(shown["authenticated"], true);
  EXPECT_EQ(shown["offset_ns"], 3'000);
  EXPECT_GE(shown["distance_ns"].get<std::uint64_t>(), 5'000'000U);
  EXPECT_GE(shown["exact_distance_ns"].get<std::uint64_t>(), 600'000U) << "half of the delay, and dispersion";
  EXPECT_LT(shown["exact_distance_ns"].get<std::uint64_t>(), 1'000'000U);
  EXPECT_EQ(report["upstreams"][3]["stratum"], nullptr);
  EXPECT_EQ(upstream_summary(config, &reply), (nlohmann::json{{"sources", 4}, {"agreeing", 2}}));
  EXPECT_TRUE(has_agreement(report));
  const std::string text = upstreams_text(report);
  EXPECT_NE(text.find("\n* u1.example.net            1    6   377      2"), std::string::npos) << text;
  EXPECT_NE(text.find("8 cookies"), std::string::npos);
  EXPECT_NE(text.find("\nx u0.example.net"), std::string::npos);
  EXPECT_NE(text.find("\n= u2.example.net"), std::string::npos);
  EXPECT_NE(text.find("\n? u3.example.net"), std::string::npos);
}

TEST(UpstreamStatus, ARoleThatDoesNotAnswerLeavesTheNamesOnly) {
  const Config config = config_of(1);
  const nlohmann::json report = upstream_report(config, nullptr);
  EXPECT_EQ(report["running"], false);
  EXPECT_EQ(report["upstreams"][0]["host"], "u0.example.net");
  EXPECT_EQ(report["upstreams"][0]["verdict"], "unusable");
  EXPECT_EQ(upstream_summary(config, nullptr)["agreeing"], nullptr);
  EXPECT_FALSE(has_agreement(report));
  EXPECT_NE(upstreams_text(report).find("NOT running"), std::string::npos);
}

TEST(UpstreamStatus, NonsenseIsShownAsSuchAndStopsNothing) {
  UpstreamListReply reply{};
  reply.count = 4'000'000'000;
  for (UpstreamListEntry& entry : reply.entries) {
    entry.has_report = entry.has_news = 1;
    entry.phase = static_cast<UpstreamPhase>(77);
    entry.verdict = static_cast<UpstreamVerdict>(77);
    entry.offset_ns = INT64_MIN;
    entry.distance_ns = UINT64_MAX;
    entry.text.fill('\x1b');
    entry.address.fill('a');
  }
  const nlohmann::json report = upstream_report(config_of(16), &reply);
  EXPECT_EQ(report["upstreams"][15]["phase"], "unknown");
  EXPECT_EQ(upstreams_text(report).find('\x1b'), std::string::npos);
  for (const char* text :
       {"null", "[]", "{}", R"({"upstreams": 1})", R"({"upstreams": [1, null, {"host": 1}]})"}) {
    static_cast<void>(upstreams_text(nlohmann::json::parse(text)));
    EXPECT_FALSE(has_agreement(nlohmann::json::parse(text)));
  }
}

}  // namespace
}  // namespace control
