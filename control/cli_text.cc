#include "control/cli_text.h"

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <string_view>

namespace control {
namespace {

using nlohmann::json;

constexpr std::size_t label_columns = 11;
constexpr std::int64_t minute_s = 60;
constexpr std::int64_t hour_s = 3600;
constexpr std::int64_t day_s = 86400;

// What stands at the end of `path`; null when there is nothing.
const json& at(const json& report, std::initializer_list<const char*> path) {
  static const json nothing;
  const json* place = &report;
  for (const char* key : path) {
    if (!place->is_object() || !place->contains(key)) return nothing;
    place = &(*place)[key];
  }
  return *place;
}

// A text as it is, a number in digits, anything else "?".
std::string text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return value.dump();
  return "?";
}

bool is_true(const json& value) { return value.is_boolean() && value.get<bool>(); }
// Counts and times are integers; a number of another kind would not survive being made one.
std::uint64_t count(const json& value) { return value.is_number_integer() ? value.get<std::uint64_t>() : 0; }

std::string line(std::string label, const std::string& rest) {
  label.resize(std::max(label.size() + 1, label_columns), ' ');
  return label + rest + "\n";
}

std::string plural(std::uint64_t number, const std::string& noun) {
  return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
}

// The two largest units: "3 d 4 h", "12 min 5 s".
std::string duration(std::int64_t seconds) {
  const auto two = [](std::int64_t large, const char* large_unit, std::int64_t small,
                      const char* small_unit) {
    return std::to_string(large) + " " + large_unit + " " + std::to_string(small) + " " + small_unit;
  };
  if (seconds < 0) return "?";
  if (seconds < minute_s) return std::to_string(seconds) + " s";
  if (seconds < hour_s) return two(seconds / minute_s, "min", seconds % minute_s, "s");
  if (seconds < day_s) return two(seconds / hour_s, "h", seconds % hour_s / minute_s, "min");
  return two(seconds / day_s, "d", seconds % day_s / hour_s, "h");
}
std::string duration(const json& seconds) {
  return seconds.is_number_integer() ? duration(seconds.get<std::int64_t>()) : "?";
}

std::string joined(const json& texts, const std::string& separator) {
  std::string all;
  if (!texts.is_array()) return text(texts);
  for (const json& one : texts) all += (all.empty() ? "" : separator) + text(one);
  return all.empty() ? "none" : all;
}

// --- status

// What a person must never get wrong: whether this is the right time.
std::string clock_in_brackets(const json& clock) {
  const std::string stratum = text(at(clock, {"stratum"}));
  const std::string state = text(at(clock, {"state"}));
  if (is_true(at(clock, {"synchronised"}))) {
    return "synchronised (" + text(at(clock, {"source"})) + ", " + state + ", stratum " + stratum + ")";
  }
  if (state == "?") return "NOT synchronised (no clock)";
  if (state != "local") return "NOT synchronised (" + state + ")";
  if (stratum == "0") return "NOT synchronised (local clock, run out)";
  return "NOT synchronised (local clock, stratum " + stratum + " declared)";
}

std::string dataplane_lines(const json& dataplane) {
  if (!is_true(at(dataplane, {"running"}))) return line("dataplane", "NOT running");
  std::string lines =
      line("dataplane", "up " + duration(at(dataplane, {"uptime_s"})) + ", pid " +
                            text(at(dataplane, {"pid"})) + ", crypto " + text(at(dataplane, {"tier"})));
  if (const json& ports = at(dataplane, {"ports"}); ports.is_array()) {
    for (const json& port : ports) lines += line("  port", text(port));
  }
  if (const json& cores = at(dataplane, {"cores"}); cores.is_array()) {
    for (const json& core : cores) {
      lines +=
          line("  core", "CPU " + text(at(core, {"cpu"})) + ", seen " + text(at(core, {"heartbeat_age_ms"})) +
                             " ms ago, keys of generation " + text(at(core, {"acknowledged_keys"})));
    }
  }
  return lines;
}

std::string clock_lines(const json& clock) {
  const bool is_running = is_true(at(clock, {"running"}));
  if (at(clock, {"state"}).is_null()) return line("clock", "NOT running");
  std::string lines =
      line("clock", text(at(clock, {"state"})) + " (" + text(at(clock, {"source"})) + "), reference " +
                        text(at(clock, {"reference_id"})) + (is_running ? "" : ", role NOT running"));
  lines += line("  told", "stratum " + text(at(clock, {"stratum"})) + ", leap " + text(at(clock, {"leap"})));
  lines += line("  error", "root delay " + text(at(clock, {"root_delay_us"})) + " us, dispersion " +
                               text(at(clock, {"root_dispersion_us"})) + " us");
  lines += line("  good for", duration(at(clock, {"valid_for_s"})) + ", last news " +
                                  text(at(clock, {"age_ms"})) + " ms ago");
  return lines;
}

std::string keys_lines(const json& keys) {
  if (!is_true(at(keys, {"running"}))) return line("keys", "keeper NOT running");
  std::string lines =
      line("keys", "current " + text(at(keys, {"current_id"})) + ", " + text(at(keys, {"accepting"})) +
                       " more accepted, generation " + text(at(keys, {"generation"})));
  if (is_true(at(keys, {"rotation_pending"}))) lines += line("", "a new key waits for the cores");
  if (const std::string alarm = text(at(keys, {"alarm"})); !alarm.empty() && alarm != "?") {
    lines += line("  ALARM", alarm);
  }
  return lines;
}

std::string ke_lines(const json& ke) {
  std::string lines;
  const json& workers = at(ke, {"workers"});
  if (!workers.is_array() || workers.empty()) return line("nts-ke", "switched off");
  for (const json& worker : workers) {
    const std::string label = lines.empty() ? "nts-ke" : "";
    const std::string who = "port " + text(at(ke, {"port"})) + ", worker " + text(at(worker, {"worker"}));
    lines += line(label,
                  who + (is_true(at(worker, {"running"})) ? ": served " + text(at(worker, {"served"})) +
                                                                ", open now " + text(at(worker, {"open_now"}))
                                                          : ": NOT running"));
  }
  return lines;
}

// --- counters

std::string nonzero_lines(const json& counters) {
  std::string lines;
  if (!counters.is_object()) return lines;
  for (const auto& [name, value] : counters.items()) {
    if (value.is_number() && count(value) != 0) lines += "  " + name + " " + text(value) + "\n";
  }
  return lines;
}

std::uint64_t sum_of(const json& verdicts, const std::function<bool(std::string_view)>& is_wanted) {
  std::uint64_t sum = 0;
  if (!verdicts.is_object()) return sum;
  for (const auto& [name, value] : verdicts.items()) {
    if (is_wanted(name)) sum += count(value);
  }
  return sum;
}

// Every packet has one verdict, so the parts make the whole; what a worker has not yet counted when we looked
// is said to be on its way.
std::string balance(const json& dataplane) {
  const json& frame = at(dataplane, {"frame"});
  const json& nts = at(dataplane, {"nts"});
  const auto is_drop = [](std::string_view name) { return name.starts_with("drop_"); };
  const auto is_pass = [](std::string_view name) { return name.starts_with("pass_"); };
  const auto is_answer = [](std::string_view name) { return !name.starts_with("drop_"); };
  const std::uint64_t received = count(at(dataplane, {"received_packets"}));
  const std::uint64_t answered = sum_of(nts, is_answer);
  const std::uint64_t dropped = sum_of(frame, is_drop) + sum_of(nts, is_drop);
  const std::uint64_t passed = sum_of(frame, is_pass);
  std::string text = "received " + std::to_string(received) + " = answered " + std::to_string(answered) +
                     " + dropped " + std::to_string(dropped);
  if (passed != 0) text += " + not ours " + std::to_string(passed);
  const std::uint64_t counted = answered + dropped + passed;
  if (received > counted) text += " + on the way " + std::to_string(received - counted);
  if (counted > received) text += " - counted early " + std::to_string(counted - received);
  return text + "\n";
}

// --- times

// From `from_s` to `to_s`; negative, which reads as "?", when it is longer than all time.
std::int64_t seconds_between(std::int64_t from_s, std::int64_t to_s) {
  std::int64_t difference_s = 0;
  return __builtin_sub_overflow(to_s, from_s, &difference_s) ? -1 : difference_s;
}

std::string ago(std::int64_t then_s, std::int64_t now_s) {
  return then_s > now_s ? "in the future" : duration(seconds_between(then_s, now_s)) + " ago";
}

}  // namespace

bool is_serving(const json& status) { return is_true(at(status, {"dataplane", "running"})); }

std::string status_text(const json& status) {
  std::string report = "Noonmark " + text(at(status, {"version"})) +
                       (is_serving(status) ? ": serving, " : ": NOT serving (no dataplane), ") +
                       clock_in_brackets(at(status, {"clock"})) + "\n";
  report += line("server", text(at(status, {"server"})));
  report += line("addresses",
                 joined(at(status, {"addresses"}), " ") + ", UDP port " + text(at(status, {"ntp_port"})));
  report += dataplane_lines(at(status, {"dataplane"}));
  report += clock_lines(at(status, {"clock"}));
  report += keys_lines(at(status, {"keys"}));
  report += ke_lines(at(status, {"nts_ke"}));
  report += line("upstream", plural(count(at(status, {"upstream", "sources"})), "source"));
  return report;
}

std::string counters_text(const json& counters) {
  const json& dataplane = at(counters, {"dataplane"});
  const json& ke = at(counters, {"nts_ke"});
  std::string report;
  if (at(dataplane, {"received_packets"}).is_null()) {
    report += "dataplane: NOT running\n";
  } else {
    report += balance(dataplane);
    if (!is_true(at(dataplane, {"running"}))) report += "(the dataplane has ended: its last counters)\n";
    report += "packets\n" + nonzero_lines(dataplane);
    report +=
        "became of them\n" + nonzero_lines(at(dataplane, {"nts"})) + nonzero_lines(at(dataplane, {"frame"}));
  }
  report += is_true(at(ke, {"running"})) ? "nts-ke\n" + nonzero_lines(ke) : "nts-ke: NOT running\n";
  return report;
}

std::string keys_text(const json& keys, std::int64_t now_unix_s) {
  std::string report = "generation " + text(at(keys, {"generation"})) +
                       (is_true(at(keys, {"rotation_pending"})) ? ", a new key waits for the cores" : "") +
                       "\n";
  if (const std::string alarm = text(at(keys, {"alarm"})); !alarm.empty() && alarm != "?") {
    report += "ALARM: " + alarm + "\n";
  }
  const json& list = at(keys, {"keys"});
  if (!list.is_array()) return report;
  for (const json& key : list) {
    const json& created = at(key, {"created_unix_s"});
    report += line(text(at(key, {"id"})),
                   text(at(key, {"state"})) + ", made " +
                       (created.is_number_integer() ? ago(created.get<std::int64_t>(), now_unix_s) : "?"));
  }
  return report;
}

std::string rotate_text(const json& rotate) {
  return "new key " + text(at(rotate, {"new_key_id"})) + ": " + text(at(rotate, {"text"})) + "\n";
}

std::string check_text(const json& summary, std::int64_t now_unix_s) {
  std::string report = line("server", text(at(summary, {"server"})));
  report += line("devices", joined(at(summary, {"devices"}), " "));
  report += line("addresses", joined(at(summary, {"addresses"}), " "));
  report +=
      line("ports", "NTP " + text(at(summary, {"ntp_port"})) + ", NTS-KE " + text(at(summary, {"ke_port"})));
  const std::string stratum =
      at(summary, {"stratum"}).is_null()
          ? ""
          : ", declared stratum " + text(at(summary, {"stratum"})) + ": for labs only";
  report += line("clock", text(at(summary, {"clock_source"})) + stratum);
  if (const json& expires = at(summary, {"certificate_expires_unix_s"}); expires.is_number_integer()) {
    const std::int64_t left_s = seconds_between(now_unix_s, expires.get<std::int64_t>());
    report += line("certificate", left_s < 0 ? "expired" : "good for " + duration(left_s));
  }
  report += line("pages", text(at(summary, {"pages"})));
  return report;
}

}  // namespace control
