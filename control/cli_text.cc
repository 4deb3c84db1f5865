#include "control/cli_text.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

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

// A measured number with so many places behind the point; "?" where there is none.
std::string rounded(const json& value, int places) {
  if (!value.is_number()) return "?";
  char digits[64];
  std::snprintf(digits, sizeof digits, "%+.*f", places, value.get<double>());
  return digits;
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

// A line for each tier, with all the AEADs that it computes.
std::string crypto_lines(const json& aeads) {
  std::vector<std::pair<std::string, std::string>> tiers;  // and their AEADs
  if (!aeads.is_array()) return {};
  for (const json& aead : aeads) {
    const std::string tier = text(at(aead, {"tier"})) + " (" + text(at(aead, {"instruction_sets"})) + ")";
    const auto known =
        std::find_if(tiers.begin(), tiers.end(), [&](const auto& one) { return one.first == tier; });
    if (known == tiers.end()) {
      tiers.emplace_back(tier, text(at(aead, {"aead"})));
    } else {
      known->second += ", " + text(at(aead, {"aead"}));
    }
  }
  std::string lines;
  for (const auto& [tier, numbers] : tiers) lines += line("  crypto", "AEAD " + numbers + ": " + tier);
  return lines;
}

std::string dataplane_lines(const json& dataplane) {
  if (!is_true(at(dataplane, {"running"}))) return line("dataplane", "NOT running");
  std::string lines =
      line("dataplane", "up " + duration(at(dataplane, {"uptime_s"})) + ", pid " +
                            text(at(dataplane, {"pid"})) + ", crypto " + text(at(dataplane, {"tier"})));
  lines += crypto_lines(at(dataplane, {"aeads"}));
  if (const json& ports = at(dataplane, {"ports"}); ports.is_array()) {
    for (const json& port : ports) lines += line("  port", text(port));
  }
  if (const json& cores = at(dataplane, {"cores"}); cores.is_array()) {
    for (const json& core : cores) {
      lines += line("  core", "CPU " + text(at(core, {"cpu"})) + " " + text(at(core, {"state"})) + ", " +
                                  plural(count(at(core, {"queues"})), "queue") + ", packets " +
                                  text(at(core, {"received_packets"})) + " in " +
                                  text(at(core, {"sent_packets"})) + " out, seen " +
                                  text(at(core, {"heartbeat_age_ms"})) + " ms ago, keys of generation " +
                                  text(at(core, {"acknowledged_keys"})));
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
  const auto is_other = [](std::string_view name) { return name == "pass_other"; };
  const auto is_kernels = [](std::string_view name) { return name == "pass_kernel"; };
  const auto is_answer = [](std::string_view name) { return !name.starts_with("drop_"); };
  const std::uint64_t received = count(at(dataplane, {"received_packets"}));
  const std::uint64_t answered = sum_of(nts, is_answer);
  const std::uint64_t dropped = sum_of(frame, is_drop) + sum_of(nts, is_drop);
  const std::uint64_t given = sum_of(frame, is_kernels);
  const std::uint64_t passed = sum_of(frame, is_other);
  std::string text = "received " + std::to_string(received) + " = answered " + std::to_string(answered) +
                     " + dropped " + std::to_string(dropped);
  if (given != 0) text += " + to the kernel " + std::to_string(given);
  if (passed != 0) text += " + not ours " + std::to_string(passed);
  const std::uint64_t counted = answered + dropped + given + passed;
  if (received > counted) text += " + on the way " + std::to_string(received - counted);
  if (counted > received) text += " - counted early " + std::to_string(counted - received);
  return text + "\n";
}

// --- ports

// The names of those in `state`, separated by blanks; they hold none themselves.
std::string features_in(const json& features, std::string_view state) {
  std::string names;
  if (!features.is_object()) return "?";
  for (const auto& [name, value] : features.items()) {
    if (text(value) == state) names += (names.empty() ? "" : " ") + name;
  }
  return names.empty() ? "nothing" : names;
}

std::string port_text(const json& port) {
  const json& link = at(port, {"link"});
  const json& mbps = at(link, {"mbps"});
  std::string report = text(at(port, {"device"})) + "\n";
  report += line("  driver", text(at(port, {"driver"})));
  report += line("  link", std::string(is_true(at(link, {"up"})) ? "up" : "DOWN") + ", " +
                               (mbps.is_null() ? "speed not known" : text(mbps) + " Mbit/s"));
  report += line("  MAC", text(at(port, {"mac"})) + ", MTU " + text(at(port, {"mtu"})));
  report += line("  queues", text(at(port, {"queues"})) + " in use, of " +
                                 text(at(port, {"queues_max", "receive"})) + " and " +
                                 text(at(port, {"queues_max", "transmit"})));
  if (const json& interface = at(port, {"interface"}); interface.is_string()) {
    report += line("  stands on", text(interface));
  }
  if (const json& twin = at(port, {"twin"}); twin.is_string()) {
    report += line("  twin", text(twin) + ", the kernel's share");
  }
  const json& features = at(port, {"features"});
  report += line("  uses", features_in(features, "used"));
  report += line("  could", features_in(features, "offered"));
  report += line("  has not", features_in(features, "none"));
  return report;
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
  const std::uint64_t upstreams = count(at(status, {"upstream", "sources"}));
  report += line("upstream",
                 plural(upstreams, "source") +
                     (upstreams == 0 ? "" : ", agreeing: " + text(at(status, {"upstream", "agreeing"}))));
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

bool has_ports(const json& ports) { return is_true(at(ports, {"running"})); }

std::string ports_text(const json& ports) {
  if (!has_ports(ports)) return "dataplane NOT running: nobody has looked at the ports\n";
  const json& list = at(ports, {"ports"});
  if (!list.is_array() || list.empty()) return "no ports\n";
  std::string report;
  for (const json& port : list) report += port_text(port);
  return report;
}

bool is_synchronised(const json& clock) { return is_true(at(clock, {"synchronised"})); }

std::string clock_text(const json& clock) {
  if (at(clock, {"state"}).is_null()) return "clock: NOT running, so nobody knows the time\n";
  const std::string sentence = text(at(clock, {"sentence"}));
  std::string report =
      (sentence.empty() || sentence == "?" ? "the clock role does not answer; its page says:" : sentence) +
      "\n";
  report += line("state", text(at(clock, {"state"})) + " (" + text(at(clock, {"source"})) + ")");
  report += clock_lines(clock);
  const json& gnss = at(clock, {"gnss"});
  if (!gnss.is_object()) return report;
  report += line("last pulse", rounded(at(gnss, {"last_offset_ns"}), 1) + " ns from what was expected");
  report += line("frequency", rounded(at(gnss, {"frequency_ppb"}), 3) + " ppb fast, changing by " +
                                  rounded(at(gnss, {"drift_ppb_day"}), 3) + " ppb a day");
  report += line("oscillator", rounded(at(gnss, {"white_ns"}), 3) + " ns in a second, wandering by " +
                                   rounded(at(gnss, {"walk_ppb"}), 5) + " ppb");
  report += line("pulses", rounded(at(gnss, {"pulse_sigma_ns"}), 1) + " ns unsteady");
  report += line("leap", "TAI-UTC " + text(at(gnss, {"tai_minus_utc_s"})) + " s");
  report += "counted\n";
  for (const char* name :
       {"pulses", "samples", "doubted", "unplaced", "malformed", "messages", "dropped_messages",
        "rollovers_repaired", "openings", "outliers", "phc_steps", "phc_unread", "dropped_edges"}) {
    if (count(at(gnss, {name})) != 0) report += line(std::string("  ") + name, text(at(gnss, {name})));
  }
  return report;
}

std::string rotate_text(const json& rotate) {
  return "new key " + text(at(rotate, {"new_key_id"})) + ": " + text(at(rotate, {"text"})) + "\n";
}

std::string drain_text(const json& drain) { return text(at(drain, {"text"})) + "\n"; }

std::string reload_text(const json& reload) {
  const auto lines = [](const char* label, const json& names) {
    std::string text_lines;
    if (!names.is_array()) return text_lines;
    for (const json& name : names) text_lines += line(text_lines.empty() ? label : "", text(name));
    return text_lines;
  };
  std::string report = "reloaded: settings revision " + text(at(reload, {"revision"})) + "\n";
  report += lines("changed", at(reload, {"changed"}));
  report += lines("at restart", at(reload, {"at_restart"}));
  report += lines("silent", at(reload, {"silent"}));
  return report;
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
