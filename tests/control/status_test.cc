// Reports made of pages and replies, good ones and garbage.

#include "control/status.h"

#include <array>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <unistd.h>

#include "control/admin_protocol.h"
#include "control/cli_text.h"

namespace control {
namespace {

using nlohmann::json;

constexpr std::uint64_t hz = 2'000'000'000;
constexpr Moment now{100 * hz, 1'700'000'100};

void store_text(char* place, std::string_view text) { std::memcpy(place, text.data(), text.size() + 1); }

// A page as a dataplane with two cores leaves it; its process is this one.
std::unique_ptr<shm::StatsPage> serving_page() {
  auto page = std::make_unique<shm::StatsPage>();
  page->instance_id = 77;
  page->pid = static_cast<std::uint64_t>(::getpid());
  page->started_unix_s = 1'700'000'000;
  page->tsc_hz = hz;
  page->core_count = 2;
  page->serving = 1;
  store_text(page->tier_name, "aesni");
  store_text(page->tier_instruction_sets, "AES-NI SSE4.1");
  for (std::uint32_t row = 0; row < nts::aeads_count; ++row) {
    store_text(page->aead_tiers[row].name, "tier of " + std::to_string(nts::aeads[row].number));
    store_text(page->aead_tiers[row].instruction_sets, "AVX2");
  }
  store_text(page->ports[0].report.device, "af_packet:eth0");
  store_text(page->ports[0].report.driver, "net_af_packet");
  page->ports[0].report.queues = 2;
  page->ports[0].link_is_up = 1;
  for (std::uint32_t i = 0; i < 2; ++i) {
    shm::CoreStats& line = page->cores[i];
    line.cpu = 4 + i;
    line.queues = 1;
    line.instance_id = 77;
    line.acknowledged_keys = 9;
    line.heartbeat_tsc = now.tsc - hz / 100;  // 10 ms ago
    line.received_packets = 10;
    line.received_octets = 900;
    line.sent_packets = 6;
    line.sent_octets = 540;
    line.cookies_issued = 3;
    line.bursts = 5;
    line.frame[static_cast<std::size_t>(shm::FrameVerdict::pass_other)] = 1;
    line.frame[static_cast<std::size_t>(shm::FrameVerdict::drop_ttl)] = 2;
    line.verdict[static_cast<std::size_t>(nts::Verdict::answer_plain)] = 3;
    line.verdict[static_cast<std::size_t>(nts::Verdict::answer_nts)] = 3;
    line.verdict[static_cast<std::size_t>(nts::Verdict::drop_mode)] = 1;
  }
  return page;
}

TEST(DataplaneStatus, SaysWhatThePageSays) {
  const auto page = serving_page();
  const json report = dataplane_status(page.get(), ::geteuid(), now);
  EXPECT_EQ(report["running"], true);
  EXPECT_EQ(report["pid"], ::getpid());
  EXPECT_EQ(report["uptime_s"], 100);
  EXPECT_EQ(report["tier"], "aesni");
  EXPECT_EQ(report["instruction_sets"], "AES-NI SSE4.1");
  ASSERT_EQ(report["aeads"].size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    const int number = std::array{15, 16, 17, 30}[i];
    EXPECT_EQ(report["aeads"][i], (json{{"aead", number},
                                        {"name", nts::find_aead(static_cast<std::uint32_t>(number))->name},
                                        {"tier", "tier of " + std::to_string(number)},
                                        {"instruction_sets", "AVX2"}}));
  }
  EXPECT_EQ(
      report["ports"],
      json::array({"af_packet:eth0: net_af_packet, queues 2, receive stamps by TSC per burst, UDP checksums "
                   "read by software and written by software, RSS none"}));
  ASSERT_EQ(report["cores"].size(), 2U);
  EXPECT_EQ(report["cores"][1], (json{{"cpu", 5},
                                      {"state", "in service"},
                                      {"queues", 1},
                                      {"received_packets", 10},
                                      {"sent_packets", 6},
                                      {"heartbeat_age_ms", 10},
                                      {"acknowledged_keys", 9}}));
  page->cores[1].is_drained = 1;
  EXPECT_EQ(dataplane_status(page.get(), ::geteuid(), now)["cores"][1]["state"], "drained");
}

TEST(DataplaneStatus, A39_NamesThePortsWithoutALink) {
  const auto page = serving_page();
  const auto line = [&] {
    return dataplane_status(page.get(), ::geteuid(), now)["ports"][0].get<std::string>();
  };
  EXPECT_FALSE(line().ends_with(", NO LINK"));
  page->ports[0].link_is_up = 0;
  EXPECT_TRUE(line().ends_with(", NO LINK"));
}

TEST(DataplaneStatus, RunsOnlyWhileItsProcessLivesAndServes) {
  const json not_running = {{"running", false}};
  EXPECT_EQ(dataplane_status(nullptr, ::geteuid(), now), not_running);
  auto page = serving_page();
  EXPECT_EQ(dataplane_status(page.get(), ::geteuid() + 1, now), not_running);  // somebody else's process now
  page->serving = 0;
  EXPECT_EQ(dataplane_status(page.get(), ::geteuid(), now), not_running);
  page = serving_page();
  page->instance_id = 0;
  EXPECT_EQ(dataplane_status(page.get(), ::geteuid(), now), not_running);
  for (const std::uint64_t pid : {std::uint64_t{0}, std::uint64_t{0x7fffffff}, ~std::uint64_t{0}}) {
    page = serving_page();
    page->pid = pid;
    EXPECT_EQ(dataplane_status(page.get(), ::geteuid(), now), not_running);
  }
}

TEST(DataplaneStatus, G14_ClampsCountsEndsTextsAndDoubtsTimes) {
  const auto page = serving_page();
  page->core_count = ~std::uint64_t{0};
  page->tsc_hz = 0;
  page->started_unix_s = ~std::uint64_t{0};
  std::memset(page->tier_name, 'x', sizeof page->tier_name);  // no end
  std::memset(page->aead_tiers, 0x1b, sizeof page->aead_tiers);
  // Terminal escapes, no end.
  std::memset(static_cast<void*>(&page->ports[0].report), 0x1b, sizeof page->ports[0].report);
  const json report = dataplane_status(page.get(), ::geteuid(), now);
  EXPECT_EQ(report["cores"].size(), shm::cores_max);
  EXPECT_EQ(report["cores"][0]["heartbeat_age_ms"], nullptr);
  EXPECT_EQ(report["uptime_s"], nullptr);
  EXPECT_EQ(report["tier"], std::string(sizeof page->tier_name, 'x'));
  for (const json& aead : report["aeads"]) {
    EXPECT_EQ(aead["tier"], std::string(sizeof page->aead_tiers[0].name, '?'));
    EXPECT_EQ(aead["instruction_sets"], std::string(sizeof page->aead_tiers[0].instruction_sets, '?'));
  }
  ASSERT_EQ(report["ports"].size(), 1U);
  EXPECT_TRUE(
      report["ports"][0].get<std::string>().starts_with(std::string(shm::device_name_bytes, '?') + ": "));
}

TEST(DataplaneStatus, G14_AHeartbeatOfAnotherCoreMayLieATickAhead) {
  const auto page = serving_page();
  page->cores[0].heartbeat_tsc = now.tsc + 1000;
  page->cores[1].heartbeat_tsc = now.tsc + hz + 1;
  const json report = dataplane_status(page.get(), ::geteuid(), now);
  EXPECT_EQ(report["cores"][0]["heartbeat_age_ms"], 0);
  EXPECT_EQ(report["cores"][1]["heartbeat_age_ms"], nullptr);
}

TEST(Reports, G14_APageOfGarbageMakesABoundedReportOfPlainText) {
  std::mt19937_64 random(14);
  const auto page = std::make_unique<shm::StatsPage>();
  for (int round = 0; round < 20; ++round) {
    auto* octets = reinterpret_cast<std::uint8_t*>(page.get());
    for (std::size_t i = 0; i < sizeof(shm::StatsPage); ++i) octets[i] = static_cast<std::uint8_t>(random());
    page->serving = 1;
    page->pid = static_cast<std::uint64_t>(::getpid());
    const json status = dataplane_status(page.get(), ::geteuid(), now);
    const json counters = dataplane_counters(page.get(), ::geteuid());
    EXPECT_EQ(status["running"], true);
    EXPECT_LE(status.dump().size() + 1024, reply_bytes_max) << "with what the other roles say";
    EXPECT_LE(counters.dump().size() + 1024, reply_bytes_max);  // dump() refuses bad UTF-8
    const std::string text = status_text({{"dataplane", status}}) + counters_text({{"dataplane", counters}});
    for (const char c : text) ASSERT_TRUE(c == '\n' || (c >= ' ' && c <= '~')) << static_cast<int>(c);
  }
}

TEST(DataplaneCounters, SumTheCoresAndNameEveryVerdict) {
  const auto page = serving_page();
  const json report = dataplane_counters(page.get(), ::geteuid());
  EXPECT_EQ(report["received_packets"], 20);
  EXPECT_EQ(report["received_octets"], 1800);
  EXPECT_EQ(report["sent_packets"], 12);
  EXPECT_EQ(report["sent_octets"], 1080);
  EXPECT_EQ(report["cookies_issued"], 6);
  EXPECT_EQ(report["bursts"], 10);
  EXPECT_EQ(report["frame"].size(), shm::frame_verdict_count);
  EXPECT_EQ(report["nts"].size(), nts::verdict_count);
  EXPECT_EQ(report["frame"]["drop_ttl"], 4);
  EXPECT_EQ(report["nts"]["answer_nts"], 6);
  EXPECT_EQ(report["verdicts"], 20);
  ASSERT_EQ(report["cores"].size(), 2U);
  EXPECT_EQ(report["cores"][0]["cpu"], 4);
  EXPECT_EQ(report["cores"][0]["verdicts"], 10);
}

TEST(DataplaneCounters, OutliveTheirProcess) {
  const auto page = serving_page();
  page->serving = 0;
  const json report = dataplane_counters(page.get(), ::geteuid());
  EXPECT_EQ(report["running"], false);
  EXPECT_EQ(report["received_packets"], 20);
  page->instance_id = 0;  // none has ever run
  EXPECT_EQ(dataplane_counters(page.get(), ::geteuid()), (json{{"running", false}}));
}

hwclock::ClockState locked_clock() {
  hwclock::ClockState state{};
  state.tsc0 = now.tsc - hz / 8;
  state.tsc_hz = hz;
  state.mult = static_cast<std::uint64_t>((static_cast<hwclock::Int128>(1) << 92) / hz);
  state.valid_until = now.tsc + 60 * hz;
  state.root_delay_ns = 1500;
  state.dispersion0_ns = 20'000;
  state.dispersion_rate_ppb = 15'000;
  state.state = hwclock::State::locked;
  state.source = hwclock::Source::system;
  state.leap = 0;
  state.stratum = 2;
  state.reference_id = 0xc0000201;
  state.precision = -25;
  store_text(state.source_name, "kernel clock");
  return state;
}

TEST(ClockStatus, SaysWhatIsServedNow) {
  const hwclock::ClockState state = locked_clock();
  const json report = clock_status(&state, now.tsc);
  EXPECT_EQ(report["running"], true);
  EXPECT_EQ(report["synchronised"], true);
  EXPECT_EQ(report["state"], "locked");
  EXPECT_EQ(report["source"], "kernel clock");
  EXPECT_EQ(report["stratum"], 2);
  EXPECT_EQ(report["leap"], 0);
  EXPECT_EQ(report["reference_id"], "192.0.2.1");
  EXPECT_EQ(report["root_delay_us"], 2);        // rounded up: an error is never told smaller than it is
  EXPECT_EQ(report["root_dispersion_us"], 22);  // 20 us, grown for an eighth of a second at 15 ppm
  EXPECT_EQ(report["valid_for_s"], 60);
  EXPECT_EQ(report["age_ms"], 125);
}

TEST(ClockStatus, ALocalClockIsNeverCalledSynchronised) {
  hwclock::ClockState state = locked_clock();
  state.state = hwclock::State::local;
  state.stratum = 10;
  state.reference_id = 0x4c4f434c;
  json report = clock_status(&state, now.tsc);
  EXPECT_EQ(report["synchronised"], false);
  EXPECT_EQ(report["stratum"], 10);
  EXPECT_EQ(report["reference_id"], "LOCL");
  state.state = hwclock::State::locked;  // whatever it says of itself
  state.source = hwclock::Source::local;
  EXPECT_EQ(clock_status(&state, now.tsc)["synchronised"], false);
}

TEST(ClockStatus, IsSynchronisedInMeasuredStatesOnly) {
  using hwclock::State;
  hwclock::ClockState state = locked_clock();
  for (const State good : {State::locked, State::holdover, State::fallback}) {
    state.state = good;
    EXPECT_EQ(clock_status(&state, now.tsc)["synchronised"], true);
  }
  for (const State bad : {State::unsync, State::warmup, State::alarm, State::local}) {
    state.state = bad;
    EXPECT_EQ(clock_status(&state, now.tsc)["synchronised"], false);
  }
}

TEST(ClockStatus, G15_AnOldStateIsUnsynchronisedFromTheTickOfItsEnd) {
  const hwclock::ClockState state = locked_clock();
  EXPECT_EQ(clock_status(&state, state.valid_until)["synchronised"], true);
  const json report = clock_status(&state, state.valid_until + 1);
  EXPECT_EQ(report["synchronised"], false);
  EXPECT_EQ(report["leap"], 3);
  EXPECT_EQ(report["stratum"], 0);
  EXPECT_EQ(report["valid_for_s"], 0);
  EXPECT_EQ(report["running"], false);
  // A restored snapshot: the TSC jumped back.
  EXPECT_EQ(clock_status(&state, state.tsc0 - 2 * hz)["synchronised"], false);
}

TEST(ClockStatus, G15_WhatMakesNoSenseIsNotShown) {
  EXPECT_EQ(clock_status(nullptr, now.tsc), (json{{"running", false}, {"synchronised", false}}));
  hwclock::ClockState state = locked_clock();
  state.mult = 0;
  EXPECT_EQ(clock_status(&state, now.tsc), (json{{"running", false}, {"synchronised", false}}));
  state = locked_clock();
  state.leap = 3;
  EXPECT_EQ(clock_status(&state, now.tsc)["synchronised"], false);
  state = locked_clock();
  state.reference_id = 0x1b5b324a;  // ESC [ 2 J
  EXPECT_EQ(clock_status(&state, now.tsc)["reference_id"], "27.91.50.74");
}

TEST(ClockStatus, ADeadRoleIsNotRunningWhileItsStateIsStillServed) {
  const hwclock::ClockState state = locked_clock();
  const json report = clock_status(&state, state.tsc0 + 5 * hz);
  EXPECT_EQ(report["running"], false);
  EXPECT_EQ(report["synchronised"], true);
  EXPECT_EQ(clock_status(&state, state.tsc0 + 5 * hz - 1)["running"], true);
}

KeyListReply three_keys() {
  KeyListReply reply{};
  reply.count = 3;
  reply.ring_generation = 12;
  reply.rotation_pending = 1;
  reply.keys[0] = {7, nts::KeyState::retired, 1'700'000'000};
  reply.keys[1] = {8, nts::KeyState::current, 1'700'000'010};
  reply.keys[2] = {9, nts::KeyState::accepting, 1'700'000'020};
  return reply;
}

TEST(KeyReports, SayStatesAndNothingElse) {
  const KeyListReply reply = three_keys();
  EXPECT_EQ(keys_status(&reply), (json{{"running", true},
                                       {"generation", 12},
                                       {"current_id", 8},
                                       {"accepting", 1},
                                       {"rotation_pending", true},
                                       {"alarm", ""}}));
  const json list = key_list(reply);
  EXPECT_EQ(list["current_id"], 8);
  ASSERT_EQ(list["keys"].size(), 3U);
  EXPECT_EQ(list["keys"][0], (json{{"id", 7}, {"state", "retired"}, {"created_unix_s", 1'700'000'000}}));
  EXPECT_EQ(list["keys"][2]["state"], "accepting");
  EXPECT_EQ(keys_status(nullptr), (json{{"running", false}}));
}

TEST(KeyReports, G14_CountsAndTextsOfAReplyAreBounded) {
  KeyListReply reply = three_keys();
  reply.count = 0xffffffff;
  reply.keys[3].state = static_cast<nts::KeyState>(99);
  reply.alarm = 1;
  reply.alarm_text.fill('\x07');
  const json list = key_list(reply);
  EXPECT_EQ(list["keys"].size(), 4U);  // the rest is empty
  EXPECT_EQ(list["keys"][3]["state"], "unknown");
  EXPECT_EQ(list["alarm"], std::string(reply.alarm_text.size(), '?'));
  reply.alarm_text.fill('\0');
  EXPECT_NE(key_list(reply)["alarm"], "");  // an alarm never reads as none
}

TEST(KeReports, SumTheWorkersThatAnswer) {
  KeCounters first{};
  first.accepted = 5;
  first.served = 3;
  first.open_now = 1;
  KeCounters third = first;
  third.served = 4;
  const KeAnswers answers = {first, std::nullopt, third};
  const json counters = ke_counters(answers);
  EXPECT_EQ(counters["served"], 7);
  EXPECT_EQ(counters["accepted"], 10);
  EXPECT_EQ(counters["workers_answering"], 2);
  const json status = ke_status(4460, answers);
  EXPECT_EQ(status["port"], 4460);
  ASSERT_EQ(status["workers"].size(), 3U);
  EXPECT_EQ(status["workers"][1], (json{{"worker", 1}, {"running", false}}));
  EXPECT_EQ(status["workers"][2]["served"], 4);
  EXPECT_EQ(ke_counters({std::nullopt})["running"], false);
}

TEST(KeReports, EachCounterHasItsOwnName) {
  const KeCounters counters{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  EXPECT_EQ(ke_counters({counters}), (json{{"running", true},
                                           {"workers_answering", 1},
                                           {"accepted", counters.accepted},
                                           {"accept_failed", counters.accept_failed},
                                           {"refused_limit", counters.refused_limit},
                                           {"handshake_failed", counters.handshake_failed},
                                           {"timeouts", counters.timeouts},
                                           {"served", counters.served},
                                           {"error_unrecognised", counters.error_unrecognised},
                                           {"error_bad_request", counters.error_bad_request},
                                           {"error_internal", counters.error_internal},
                                           {"disconnected", counters.disconnected},
                                           {"no_common_algorithm", counters.no_common_algorithm},
                                           {"open_now", counters.open_now}}));
}

}  // namespace
}  // namespace control
