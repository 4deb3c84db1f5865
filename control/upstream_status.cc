#include "control/upstream_status.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

#include "control/printable.h"
#include "control/query_report.h"

namespace control {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, upstream_phases> phase_names = {
    "looking_up", "agreeing", "measuring", "unsynchronised", "stopped", "loop", "failed"};
constexpr std::array<std::string_view, upstream_verdicts> verdict_names = {"unusable", "falseticker",
                                                                           "witness", "member", "leader"};

template <class Enum, std::size_t size>
std::string_view name_of(Enum value, const std::array<std::string_view, size>& names) {
  const auto index = static_cast<std::size_t>(value);
  return index < size ? names[index] : "unknown";
}

bool agrees(const UpstreamListEntry& entry) {
  return entry.verdict == UpstreamVerdict::witness || entry.verdict == UpstreamVerdict::member ||
         entry.verdict == UpstreamVerdict::leader;
}

json entry_report(const Upstream& config, const UpstreamListEntry* entry) {
  json report = {{"host", config.host}, {"nts", config.nts}};
  for (const char* measured : {"stratum", "leap", "reference_id", "age_s", "offset_ns", "delay_ns",
                               "dispersion_ns", "jitter_ns", "distance_ns", "exact_distance_ns"}) {
    report[measured] = nullptr;
  }
  const UpstreamListEntry nothing{};
  const UpstreamListEntry& told = entry != nullptr && entry->has_report != 0 ? *entry : nothing;
  report["address"] = printable({told.address.data(), told.address.size()});
  report["phase"] = name_of(told.phase, phase_names);
  report["verdict"] = name_of(told.verdict, verdict_names);
  report["authenticated"] = told.authenticated != 0;
  report["reach"] = told.reach;
  report["poll"] = told.poll;
  report["cookies"] = told.cookies;
  report["text"] = printable({told.text.data(), told.text.size()});
  if (told.has_news == 0) return report;
  report["stratum"] = told.stratum;
  report["leap"] = told.leap;
  report["reference_id"] = text_of_reference_id(told.reference_id, 2);
  report["age_s"] = told.age_s;
  report["offset_ns"] = told.offset_ns;
  report["delay_ns"] = told.delay_ns;
  report["dispersion_ns"] = told.dispersion_ns;
  report["jitter_ns"] = told.jitter_ns;
  report["distance_ns"] = told.distance_ns;
  report["exact_distance_ns"] = told.exact_distance_ns;
  return report;
}

// Fields of a report that may be of another version.
const json& field(const json& of, const char* key) {
  static const json nothing;
  return of.is_object() && of.contains(key) ? of[key] : nothing;
}

std::string text_in(const json& of, const char* key) {
  const json& value = field(of, key);
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_integer() ? value.dump() : "?";
}

std::string span_in(const json& of, const char* key, bool has_sign = false) {
  const json& value = field(of, key);
  if (!value.is_number_integer()) return "?";
  const auto ns = value.get<std::int64_t>();
  return (has_sign && ns >= 0 ? "+" : "") + text_of_duration(ns);
}

std::string reach_in(const json& of) {
  const json& value = field(of, "reach");
  if (!value.is_number_integer()) return "?";
  char octal[8];
  std::snprintf(octal, sizeof octal, "%o", static_cast<unsigned>(value.get<std::int64_t>() & 0xff));
  return octal;
}

char sign_of(const std::string& verdict) {
  if (verdict == "leader") return '*';
  if (verdict == "member") return '+';
  if (verdict == "witness") return '=';
  return verdict == "falseticker" ? 'x' : '?';
}

std::string row(const json& one) {
  const std::string host = text_in(one, "host");
  char line[256];
  std::snprintf(line, sizeof line, "%c %-24s %2s %4s %5s %6s %10s %10s %10s  %s\n",
                sign_of(text_in(one, "verdict")), host.substr(0, 64).c_str(), text_in(one, "stratum").c_str(),
                text_in(one, "poll").c_str(), reach_in(one).c_str(), text_in(one, "age_s").c_str(),
                span_in(one, "offset_ns", true).c_str(), span_in(one, "distance_ns").c_str(),
                span_in(one, "delay_ns").c_str(),
                field(one, "nts") == json(true) ? (text_in(one, "cookies") + " cookies").c_str() : "no NTS");
  std::string text = line;
  if (const std::string fault = text_in(one, "text"); !fault.empty() && fault != "?")
    text += "    " + fault + "\n";
  return text;
}

}  // namespace

json upstream_report(const Config& config, const UpstreamListReply* reply) {
  json list = json::array();
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    const bool is_told = reply != nullptr && i < std::min<std::size_t>(reply->count, reply->entries.size());
    list.push_back(entry_report(config.upstreams[i], is_told ? &reply->entries[i] : nullptr));
  }
  return {{"running", reply != nullptr && reply->running != 0}, {"upstreams", std::move(list)}};
}

json upstream_summary(const Config& config, const UpstreamListReply* reply) {
  json agreeing = nullptr;
  if (reply != nullptr) {
    const std::size_t count = std::min<std::size_t>(reply->count, reply->entries.size());
    agreeing = std::count_if(reply->entries.begin(),
                             reply->entries.begin() + static_cast<std::ptrdiff_t>(count), agrees);
  }
  return {{"sources", config.upstreams.size()}, {"agreeing", std::move(agreeing)}};
}

bool has_agreement(const json& report) {
  const json& list = field(report, "upstreams");
  return list.is_array() && std::any_of(list.begin(), list.end(), [](const json& one) {
           const std::string verdict = text_in(one, "verdict");
           return verdict == "leader" || verdict == "member" || verdict == "witness";
         });
}

std::string upstreams_text(const json& report) {
  const json& list = field(report, "upstreams");
  if (!list.is_array() || list.empty()) return "no upstreams are configured\n";
  std::string text;
  if (field(report, "running") != json(true))
    text += "the upstream role is NOT running, or the clock role is not\n";
  char heading[128];
  std::snprintf(heading, sizeof heading, "  %-24s %2s %4s %5s %6s %10s %10s %10s  %s\n", "host", "st", "poll",
                "reach", "age s", "offset", "+-", "delay", "security");
  text += heading;
  for (const json& one : list) text += row(one);
  return text;
}

}  // namespace control
