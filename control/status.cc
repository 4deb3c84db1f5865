#include "control/status.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <utility>

#include "control/port_status.h"
#include "control/process_check.h"

namespace control {
namespace {

using nlohmann::json;

// The clock role publishes about eight times a second: after this long it is not there any more.
constexpr std::uint64_t clock_silence_max_s = 5;
// Tries to read one core's line between two commits of its worker.
constexpr int line_tries_max = 64;

constexpr std::array<std::string_view, 7> state_names = {"unsync",   "warmup", "locked", "holdover",
                                                         "fallback", "alarm",  "local"};

constexpr std::array<std::pair<const char*, std::uint64_t KeCounters::*>, 12> ke_fields = {{
    {"accepted", &KeCounters::accepted},
    {"accept_failed", &KeCounters::accept_failed},
    {"refused_limit", &KeCounters::refused_limit},
    {"handshake_failed", &KeCounters::handshake_failed},
    {"timeouts", &KeCounters::timeouts},
    {"served", &KeCounters::served},
    {"error_unrecognised", &KeCounters::error_unrecognised},
    {"error_bad_request", &KeCounters::error_bad_request},
    {"error_internal", &KeCounters::error_internal},
    {"disconnected", &KeCounters::disconnected},
    {"no_common_algorithm", &KeCounters::no_common_algorithm},
    {"open_now", &KeCounters::open_now},
}};
static_assert(sizeof(KeCounters) == ke_fields.size() * sizeof(std::uint64_t), "a counter has no name here");

std::uint64_t load(const std::atomic<std::uint64_t>& cell) { return cell.load(std::memory_order_relaxed); }

// A copy first: the page may change while we look for the end of the text.
template <std::size_t Bytes>
std::string text_from(const char (&place)[Bytes]) {
  std::array<char, Bytes> copy;
  std::memcpy(copy.data(), place, Bytes);
  return printable({copy.data(), Bytes});
}

std::uint32_t cores_of(const shm::StatsPage& page) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(load(page.core_count), shm::cores_max));
}

// Milliseconds from `then` to `now`; null when the two or the rate make no sense. A tick or two backwards is
// another core's TSC, not nonsense.
json age_ms(std::uint64_t then, std::uint64_t now, std::uint64_t hz) {
  if (then == 0 || hz < 1'000'000) return nullptr;
  const auto ticks = static_cast<std::int64_t>(now - then);
  if (ticks < 0) return then - now < hz ? json(0) : json(nullptr);
  return static_cast<std::uint64_t>(ticks) / (hz / 1000);
}

// One core's counters, or the sum over several.
struct Line {
  std::uint64_t received_packets = 0;
  std::uint64_t received_octets = 0;
  std::uint64_t sent_packets = 0;
  std::uint64_t sent_octets = 0;
  std::uint64_t cookies_issued = 0;
  std::uint64_t kernel_sent_packets = 0;
  std::uint64_t kernel_sent_octets = 0;
  std::uint64_t kernel_unsent_packets = 0;
  std::uint64_t bursts = 0;
  std::array<std::uint64_t, shm::frame_verdict_count> frame{};
  std::array<std::uint64_t, nts::verdict_count> nts{};

  [[nodiscard]] std::uint64_t verdicts() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : frame) sum += count;
    for (const std::uint64_t count : nts) sum += count;
    return sum;
  }
};

Line copy_of(const shm::CoreStats& stats) {
  Line line;
  line.received_packets = load(stats.received_packets);
  line.received_octets = load(stats.received_octets);
  line.sent_packets = load(stats.sent_packets);
  line.sent_octets = load(stats.sent_octets);
  line.cookies_issued = load(stats.cookies_issued);
  line.kernel_sent_packets = load(stats.kernel_sent_packets);
  line.kernel_sent_octets = load(stats.kernel_sent_octets);
  line.kernel_unsent_packets = load(stats.kernel_unsent_packets);
  line.bursts = load(stats.bursts);
  for (std::size_t i = 0; i < line.frame.size(); ++i) line.frame[i] = load(stats.frame[i]);
  for (std::size_t i = 0; i < line.nts.size(); ++i) line.nts[i] = load(stats.verdict[i]);
  return line;
}

// Each counter is true by itself; they agree when no commit fell into the copying. A worker that is that
// busy, or a page of garbage, is shown as it is.
Line settled_copy_of(const shm::CoreStats& stats) {
  Line line = copy_of(stats);
  for (int tries = 1; tries < line_tries_max && line.verdicts() != line.received_packets; ++tries) {
    line = copy_of(stats);
  }
  return line;
}

void add(const Line& line, Line& total) {
  total.received_packets += line.received_packets;
  total.received_octets += line.received_octets;
  total.sent_packets += line.sent_packets;
  total.sent_octets += line.sent_octets;
  total.cookies_issued += line.cookies_issued;
  total.kernel_sent_packets += line.kernel_sent_packets;
  total.kernel_sent_octets += line.kernel_sent_octets;
  total.kernel_unsent_packets += line.kernel_unsent_packets;
  total.bursts += line.bursts;
  for (std::size_t i = 0; i < line.frame.size(); ++i) total.frame[i] += line.frame[i];
  for (std::size_t i = 0; i < line.nts.size(); ++i) total.nts[i] += line.nts[i];
}

json report_of(const Line& line) {
  json frame = json::object();
  for (std::size_t i = 0; i < line.frame.size(); ++i) {
    frame[std::string(shm::frame_verdict_names[i])] = line.frame[i];
  }
  json nts = json::object();
  for (std::size_t i = 0; i < line.nts.size(); ++i) nts[std::string(nts::verdict_names[i])] = line.nts[i];
  return {{"received_packets", line.received_packets},
          {"received_octets", line.received_octets},
          {"sent_packets", line.sent_packets},
          {"sent_octets", line.sent_octets},
          {"cookies_issued", line.cookies_issued},
          {"kernel_sent_packets", line.kernel_sent_packets},
          {"kernel_sent_octets", line.kernel_sent_octets},
          {"kernel_unsent_packets", line.kernel_unsent_packets},
          {"bursts", line.bursts},
          {"frame", std::move(frame)},
          {"nts", std::move(nts)},
          {"verdicts", line.verdicts()}};
}

// Four characters where they are that, an IPv4 address otherwise (RFC 5905 section 7.3).
std::string reference_id_text(std::uint32_t id) {
  std::string text;
  std::string dotted;
  for (int shift = 24; shift >= 0; shift -= 8) {
    const auto octet = static_cast<std::uint8_t>(id >> shift);
    text += static_cast<char>(octet);
    dotted += (shift == 24 ? "" : ".") + std::to_string(octet);
  }
  while (!text.empty() && text.back() == '\0') text.pop_back();
  const bool is_text = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
  return is_text ? text : dotted;
}

std::string_view name_of(nts::KeyState state) {
  switch (state) {
    case nts::KeyState::empty:
      return "empty";
    case nts::KeyState::accepting:
      return "accepting";
    case nts::KeyState::current:
      return "current";
    case nts::KeyState::retired:
      return "retired";
  }
  return "unknown";
}

std::span<const KeyReport> keys_in(const KeyListReply& reply) {
  return std::span(reply.keys).first(std::min<std::size_t>(reply.count, reply.keys.size()));
}

std::string alarm_of(const KeyListReply& reply) {
  if (reply.alarm == 0) return "";
  std::string text = printable({reply.alarm_text.data(), reply.alarm_text.size()});
  return text.empty() ? "the keeper raises an alarm without a text" : text;
}

// Who computes which AEAD, by rising number.
json aead_tiers(const shm::StatsPage& page) {
  json list = json::array();
  for (std::uint32_t row = 0; row < nts::aeads_count; ++row) {
    list.push_back({{"aead", nts::aeads[row].number},
                    {"name", nts::aeads[row].name},
                    {"tier", text_from(page.aead_tiers[row].name)},
                    {"instruction_sets", text_from(page.aead_tiers[row].instruction_sets)}});
  }
  std::sort(list.begin(), list.end(), [](const json& a, const json& b) { return a["aead"] < b["aead"]; });
  return list;
}

}  // namespace

bool is_serving(const shm::StatsPage& page, uid_t writer) {
  return page.instance_id.load(std::memory_order_acquire) != 0 &&
         page.serving.load(std::memory_order_acquire) != 0 && is_process_of(load(page.pid), writer);
}

json dataplane_status(const shm::StatsPage* page, uid_t writer, const Moment& now) {
  if (page == nullptr || !is_serving(*page, writer)) return {{"running", false}};
  const auto started_s = static_cast<std::int64_t>(load(page->started_unix_s));
  const std::uint64_t hz = load(page->tsc_hz);
  json cores = json::array();
  for (std::uint32_t i = 0; i < cores_of(*page); ++i) {
    const shm::CoreStats& line = page->cores[i];
    cores.push_back({{"cpu", load(line.cpu)},
                     {"state", load(line.is_drained) == 1 ? "drained" : "in service"},
                     {"queues", load(line.queues)},
                     {"received_packets", load(line.received_packets)},
                     {"sent_packets", load(line.sent_packets)},
                     {"heartbeat_age_ms", age_ms(load(line.heartbeat_tsc), now.tsc, hz)},
                     {"acknowledged_keys", load(line.acknowledged_keys)}});
  }
  json ports = json::array();
  for (const std::string& line : port_lines(*page)) ports.push_back(line);
  // A start in the future is another clock's, before a step.
  const bool is_started_known = started_s > 0 && started_s <= now.unix_s;
  return {{"running", true},
          {"pid", load(page->pid)},
          {"uptime_s", is_started_known ? json(now.unix_s - started_s) : json(nullptr)},
          {"tier", text_from(page->tier_name)},
          {"instruction_sets", text_from(page->tier_instruction_sets)},
          {"aeads", aead_tiers(*page)},
          {"cores", std::move(cores)},
          {"ports", std::move(ports)}};
}

json dataplane_counters(const shm::StatsPage* page, uid_t writer) {
  if (page == nullptr || page->instance_id.load(std::memory_order_acquire) == 0) return {{"running", false}};
  Line total;
  json cores = json::array();
  for (std::uint32_t i = 0; i < cores_of(*page); ++i) {
    const Line line = settled_copy_of(page->cores[i]);
    add(line, total);
    json core = report_of(line);
    core["cpu"] = load(page->cores[i].cpu);
    cores.push_back(std::move(core));
  }
  json report = report_of(total);
  report["running"] = is_serving(*page, writer);
  report["cores"] = std::move(cores);
  return report;
}

json clock_status(const hwclock::ClockState* state, std::uint64_t now_tsc) {
  if (state == nullptr || !hwclock::is_valid(*state)) return {{"running", false}, {"synchronised", false}};
  const bool is_told = hwclock::is_believable(*state, now_tsc) && state->leap != 3 && state->stratum != 0;
  const bool is_measured = state->state == hwclock::State::locked ||
                           state->state == hwclock::State::holdover ||
                           state->state == hwclock::State::fallback;
  const auto left = static_cast<std::int64_t>(state->valid_until - now_tsc);
  const auto since = static_cast<std::int64_t>(now_tsc - state->tsc0);
  const bool is_recent =
      since <= 0 || static_cast<std::uint64_t>(since) / state->tsc_hz < clock_silence_max_s;
  return {{"running", is_recent},
          {"synchronised", is_told && is_measured && state->source != hwclock::Source::local},
          {"state", state_names[static_cast<std::size_t>(state->state)]},  // is_valid looked at its range
          {"source", text_from(state->source_name)},
          {"stratum", is_told ? state->stratum : 0},
          {"leap", is_told ? state->leap : 3},
          {"reference_id", reference_id_text(state->reference_id)},
          {"root_delay_us", state->root_delay_ns / 1000 + (state->root_delay_ns % 1000 != 0 ? 1 : 0)},
          {"root_dispersion_us", hwclock::dispersion_ns_at(*state, now_tsc) / 1000 + 1},
          {"valid_for_s", is_told && left > 0 ? static_cast<std::uint64_t>(left) / state->tsc_hz : 0},
          {"age_ms", age_ms(state->tsc0, now_tsc, state->tsc_hz)}};
}

json clock_report(const hwclock::ClockState* state, std::uint64_t now_tsc, const ClockReportReply* reply) {
  json report = clock_status(state, now_tsc);
  // A number that is none becomes null, as JSON has it.
  const auto number = [](double value) { return std::isfinite(value) ? json(value) : json(nullptr); };
  report["sentence"] = reply == nullptr ? "" : printable({reply->sentence.data(), reply->sentence.size()});
  if (reply == nullptr || reply->has_gnss == 0) return report;
  report["gnss"] = {{"satellites", reply->satellites},
                    {"tai_minus_utc_s", reply->tai_minus_utc_s},
                    {"pulses", reply->pulses},
                    {"samples", reply->samples},
                    {"doubted", reply->doubted},
                    {"unplaced", reply->unplaced},
                    {"malformed", reply->malformed},
                    {"messages", reply->messages},
                    {"dropped_messages", reply->dropped_messages},
                    {"rollovers_repaired", reply->rollovers_repaired},
                    {"openings", reply->openings},
                    {"outliers", reply->outliers},
                    {"phc_steps", reply->phc_steps},
                    {"phc_unread", reply->phc_unread},
                    {"dropped_edges", reply->dropped_edges},
                    {"last_offset_ns", number(reply->last_offset_ns)},
                    {"frequency_ppb", number(reply->frequency_ppb)},
                    {"drift_ppb_day", number(reply->drift_ppb_day)},
                    {"white_ns", number(reply->white_ns)},
                    {"walk_ppb", number(reply->walk_ppb)},
                    {"pulse_sigma_ns", number(reply->pulse_sigma_ns)}};
  return report;
}

json keys_status(const KeyListReply* reply) {
  if (reply == nullptr) return {{"running", false}};
  const auto keys = keys_in(*reply);
  const auto in_state = [&](nts::KeyState state) {
    return std::count_if(keys.begin(), keys.end(), [&](const KeyReport& key) { return key.state == state; });
  };
  const auto current = std::find_if(keys.begin(), keys.end(),
                                    [](const KeyReport& key) { return key.state == nts::KeyState::current; });
  return {{"running", true},
          {"generation", reply->ring_generation},
          {"current_id", current == keys.end() ? 0 : current->id},
          {"accepting", in_state(nts::KeyState::accepting)},
          {"rotation_pending", reply->rotation_pending != 0},
          {"alarm", alarm_of(*reply)}};
}

json key_list(const KeyListReply& reply) {
  json list = json::array();
  for (const KeyReport& key : keys_in(reply)) {
    if (key.state == nts::KeyState::empty) continue;
    list.push_back({{"id", key.id}, {"state", name_of(key.state)}, {"created_unix_s", key.created_s}});
  }
  json report = keys_status(&reply);
  return {{"generation", report["generation"]},
          {"current_id", report["current_id"]},
          {"rotation_pending", report["rotation_pending"]},
          {"alarm", report["alarm"]},
          {"keys", std::move(list)}};
}

json ke_status(std::uint16_t port, const KeAnswers& workers) {
  json list = json::array();
  for (std::size_t i = 0; i < workers.size(); ++i) {
    json worker = {{"worker", i}, {"running", workers[i].has_value()}};
    if (workers[i]) {
      for (const auto& [name, field] : ke_fields) worker[name] = (*workers[i]).*field;
    }
    list.push_back(std::move(worker));
  }
  return {{"port", port}, {"workers", std::move(list)}};
}

json ke_counters(const KeAnswers& workers) {
  KeCounters total{};
  std::size_t answering = 0;
  for (const auto& worker : workers) {
    if (!worker) continue;
    ++answering;
    for (const auto& [name, field] : ke_fields) total.*field += (*worker).*field;
  }
  json report = {{"running", answering != 0}, {"workers_answering", answering}};
  for (const auto& [name, field] : ke_fields) report[name] = total.*field;
  return report;
}

}  // namespace control
