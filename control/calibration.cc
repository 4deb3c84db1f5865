#include "control/calibration.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace control {
namespace {

using nlohmann::json;

// Fewer say nothing of how unsteady they are.
constexpr std::uint64_t samples_min = 4;
// Of a mean: two standard errors, as an uncertainty is usually told.
constexpr double coverage = 2.0;

std::string text_in(const json& of, const char* key) {
  return of.is_object() && of.contains(key) && of[key].is_string() ? of[key].get<std::string>() : "";
}

bool number_in(const json& of, const char* key, std::int64_t& number) {
  if (!of.is_object() || !of.contains(key) || !of[key].is_number_integer()) return false;
  number = of[key].get<std::int64_t>();
  return true;
}

std::string signed_ns(std::int64_t ns) { return (ns >= 0 ? "+" : "") + std::to_string(ns) + " ns"; }

}  // namespace

void Calibration::take(const json& upstreams) {
  if (!upstreams.is_object() || !upstreams.contains("upstreams") || !upstreams["upstreams"].is_array())
    return;
  std::size_t place = 0;
  for (const json& one : upstreams["upstreams"]) {
    Server& server = servers_[place++];
    const std::string verdict = text_in(one, "verdict");
    const bool agrees = verdict == "leader" || verdict == "member" || verdict == "witness";
    std::int64_t age_s = 0, offset_ns = 0, error_ns = 0;
    if (!agrees || !number_in(one, "age_s", age_s) || !number_in(one, "offset_ns", offset_ns) ||
        !number_in(one, "exact_distance_ns", error_ns)) {
      continue;
    }
    server.host = text_in(one, "host");
    // An offset moves a little between two measurements, with our own clock; a new one makes it younger.
    const bool is_new =
        server.age_s < 0 || age_s < server.age_s || (age_s == 0 && offset_ns != server.offset_ns);
    server.age_s = age_s;
    server.offset_ns = offset_ns;
    if (!is_new) continue;
    if (server.samples++ == 0) server.first_ns = offset_ns;
    const auto offset = static_cast<double>(offset_ns - server.first_ns);
    const auto error = static_cast<double>(std::max<std::int64_t>(1, error_ns));
    const double weight = 1.0 / (error * error);
    server.weight += weight;
    server.offset += weight * offset;
    server.error += weight * error;
    server.square_weight += weight * weight;
    server.square_offset += weight * weight * offset;
    server.square += weight * weight * offset * offset;
  }
}

json Calibration::result() const {
  json servers = json::array();
  for (const auto& [place, server] : servers_) {
    if (server.samples == 0) continue;
    const auto count = static_cast<double>(server.samples);
    const double mean_ns = server.offset / server.weight;
    const double squares =
        server.square - 2.0 * mean_ns * server.square_offset + mean_ns * mean_ns * server.square_weight;
    const double scatter_ns =
        server.samples < 2 ? 0.0 : std::sqrt(std::max(0.0, squares) * count / (count - 1.0)) / server.weight;
    servers.push_back(
        {{"host", server.host},
         {"samples", server.samples},
         {"offset_ns", server.first_ns + std::llround(mean_ns)},
         {"error_ns", std::llround(std::ceil(server.error / server.weight + coverage * scatter_ns))}});
  }
  std::sort(servers.begin(), servers.end(), [](const json& one, const json& other) {
    const bool is_enough = one["samples"].get<std::uint64_t>() >= samples_min;
    const bool other_is_enough = other["samples"].get<std::uint64_t>() >= samples_min;
    if (is_enough != other_is_enough) return is_enough;
    return one["error_ns"].get<std::int64_t>() < other["error_ns"].get<std::int64_t>();
  });
  json result = {{"servers", servers},
                 {"pulse_delay_change_ns", nullptr},
                 {"error_ns", nullptr},
                 {"is_significant", false}};
  if (servers.empty() || servers[0]["samples"].get<std::uint64_t>() < samples_min) {
    result["text"] =
        "too few measurements by servers that agree with each other to say anything: wait longer, or see "
        "`noonmark upstreams` for what hinders them";
    return result;
  }
  // Means of several servers are not averaged: what is wrong with the ways to them may be the same.
  const auto offset_ns = servers[0]["offset_ns"].get<std::int64_t>();
  const auto error_ns = servers[0]["error_ns"].get<std::int64_t>();
  const bool is_significant = std::abs(offset_ns) > error_ns;
  result["pulse_delay_change_ns"] = offset_ns;
  result["error_ns"] = error_ns;
  result["is_significant"] = is_significant;
  const std::string host = servers[0]["host"].get<std::string>();
  result["text"] =
      is_significant
          ? "pulses are seen " + std::to_string(std::abs(offset_ns)) + " ns " +
                (offset_ns > 0 ? "later" : "earlier") + " than the configuration says, by " + host +
                ", give or take " + std::to_string(error_ns) + " ns: change [gnss] pulse_delay_ns by " +
                signed_ns(offset_ns) + ", and let reference_error_ns be no less than " +
                std::to_string(error_ns)
          : "nothing to change: " + host + " sees a difference of " + signed_ns(offset_ns) +
                ", and can be wrong by " + std::to_string(error_ns) +
                " ns itself; reference_error_ns below that would be a guess, unless you measured the delays "
                "another way";
  return result;
}

std::string calibration_hindrance(const json& clock) {
  if (!clock.is_object() || !clock.contains("gnss") || !clock["gnss"].is_object())
    return "there are no pulses to calibrate: the source of the clock is not \"gnss\"";
  if (text_in(clock, "state") != "locked")
    return "the clock does not follow its pulses just now; `noonmark clock` says why";
  return "";
}

std::string calibration_text(const json& result) {
  std::string text;
  char line[160];
  std::snprintf(line, sizeof line, "%-24s %8s %14s %12s\n", "server", "samples", "theirs - ours", "+-");
  text += line;
  if (result.contains("servers") && result["servers"].is_array()) {
    for (const json& one : result["servers"]) {
      std::int64_t samples = 0, offset_ns = 0, error_ns = 0;
      if (!number_in(one, "samples", samples) || !number_in(one, "offset_ns", offset_ns) ||
          !number_in(one, "error_ns", error_ns)) {
        continue;
      }
      std::snprintf(line, sizeof line, "%-24s %8lld %14s %12s\n", text_in(one, "host").substr(0, 64).c_str(),
                    static_cast<long long>(samples), signed_ns(offset_ns).c_str(),
                    (std::to_string(error_ns) + " ns").c_str());
      text += line;
    }
  }
  return text + text_in(result, "text") + "\n";
}

}  // namespace control
