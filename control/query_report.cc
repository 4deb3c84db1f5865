#include "control/query_report.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <ostream>

namespace control {
namespace {

using nts::AnswerVerdict;
using Json = nlohmann::ordered_json;  // people read it too: in the order of query.h

std::string_view aead_name(const KeAgreement& agreement) { return nts::aead_at(agreement.session.aead).name; }

std::string_view name_of(AnswerVerdict verdict) {
  return nts::answer_verdict_names[static_cast<std::size_t>(verdict)];
}

std::string_view name_of(const NtpExchange& exchange) {
  switch (exchange.end) {
    case NtpExchange::End::silent:
      return "no_answer";
    case NtpExchange::End::unreachable:
      return "unreachable";
    case NtpExchange::End::answered:
      break;
  }
  return name_of(exchange.answer.verdict);
}

const char* text_of_leap(std::uint8_t leap) {
  constexpr std::array<const char*, 4> texts = {"none", "61 s minute", "59 s minute", "not in sync"};
  return texts[leap & 3];
}

std::string text_of_offset(std::int64_t ns) {
  return (ns < 0 ? "-" : "+") + text_of_duration(ns < 0 ? -ns : ns);
}

std::string endpoint_text(const std::string& address, std::uint16_t port) {
  return address + " port " + std::to_string(port);
}

std::string text_of_days_left(std::int64_t expires_unix_s) {
  const std::int64_t days = (expires_unix_s - std::time(nullptr)) / 86'400;
  return "valid for " + std::to_string(days) + (days == 1 ? " more day" : " more days");
}

std::string remark_on(const NtpExchange& exchange) {
  const nts::Answer& answer = exchange.answer;
  std::string remark = answer.authenticated ? "authenticated" : "not authenticated";
  if (answer.verdict != AnswerVerdict::good) remark += ", " + std::string(name_of(answer.verdict));
  if (exchange.ignored != 0) {
    remark += ", " + std::to_string(exchange.ignored) +
              " other packets ignored (last: " + std::string(name_of(exchange.last_ignored)) + ")";
  }
  return remark;
}

template <class... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 256> line;
  const int bytes = std::snprintf(line.data(), line.size(), pattern, values...);
  return {line.data(), std::min(static_cast<std::size_t>(std::max(bytes, 0)), line.size() - 1)};
}

Json json_of(const QueryFacts& facts, const KeAgreement& agreement) {
  return {{"address", agreement.address.to_string()},
          {"port", facts.ke_port},
          {"tls", agreement.tls.version},
          {"certificate",
           {{"subject", printable(agreement.tls.subject)}, {"expires_unix_s", agreement.tls.expires_unix_s}}},
          {"aead", agreement.aead},
          {"aead_name", aead_name(agreement)},
          {"cookies", agreement.cookies},
          {"cookie_bytes", agreement.cookie_bytes},
          {"ntp_server", facts.ntp_server.empty() ? printable(agreement.ntp_server) : facts.ntp_server},
          {"ntp_port", facts.ntp_port},
          {"took_ms", static_cast<double>(agreement.took.count()) / 1000}};
}

Json json_of(const QuerySample& sample) {
  const NtpExchange& exchange = sample.exchange;
  Json json = {{"address", sample.server.address().to_string()},
               {"port", sample.server.port()},
               {"verdict", name_of(exchange)}};
  if (exchange.end != NtpExchange::End::answered) return json;
  const nts::Answer& answer = exchange.answer;
  json["authenticated"] = answer.authenticated;
  json["stratum"] = answer.stratum;
  json["leap"] = answer.leap;
  json["reference_id"] = text_of_reference_id(answer.reference_id, answer.stratum);
  json["root_delay_ns"] = nts::ns_from_short(answer.root_delay);
  json["root_dispersion_ns"] = nts::ns_from_short(answer.root_dispersion);
  json["cookies_received"] = answer.cookies_received;
  if (brought_time(exchange)) {
    json["offset_ns"] = exchange.measurement.offset_ns;
    json["delay_ns"] = exchange.measurement.delay_ns;
  }
  return json;
}

}  // namespace

std::string text_of_duration(std::int64_t ns) {
  const double magnitude = std::abs(static_cast<double>(ns));
  const auto value = static_cast<double>(ns);
  if (magnitude < 1e3) return format("%.0f ns", value);
  // The bounds lie where rounding to the digits shown would reach the next unit.
  if (magnitude < 999.95e3) return format("%.1f us", value / 1e3);
  if (magnitude < 999.95e6) return format("%.1f ms", value / 1e6);
  return format("%.3f s", value / 1e9);
}

std::string text_of_reference_id(std::uint32_t reference_id, std::uint8_t stratum) {
  std::array<std::uint8_t, 4> octets;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    octets[i] = static_cast<std::uint8_t>(reference_id >> (24 - 8 * i));
  }
  if (stratum >= 2) return format("%u.%u.%u.%u", octets[0], octets[1], octets[2], octets[3]);
  std::string letters(octets.begin(), octets.end());
  letters.resize(letters.find_last_not_of('\0') + 1);  // padded with zeros; none at all is possible
  return letters.empty() ? "-" : printable(letters);
}

bool brought_time(const NtpExchange& exchange) noexcept {
  const nts::Answer& answer = exchange.answer;
  return exchange.end == NtpExchange::End::answered && answer.receive.units != 0 &&
         answer.transmit.units != 0 && answer.verdict != AnswerVerdict::kiss &&
         answer.verdict != AnswerVerdict::nts_nak;
}

const QuerySample* best_of(const std::vector<QuerySample>& samples) noexcept {
  const auto rank = [](const QuerySample& sample) {
    return std::pair(sample.exchange.answer.verdict != AnswerVerdict::good,
                     sample.exchange.measurement.delay_ns);
  };
  const QuerySample* best = nullptr;
  for (const QuerySample& sample : samples) {
    if (brought_time(sample.exchange) && (best == nullptr || rank(sample) < rank(*best))) best = &sample;
  }
  return best;
}

void print_agreement(std::ostream& out, const QueryFacts& facts) {
  const KeAgreement& agreement = *facts.agreement;
  out << "NTS-KE       " << endpoint_text(agreement.address.to_string(), facts.ke_port) << ", "
      << agreement.tls.version << ", took " << text_of_duration(agreement.took.count() * 1000) << '\n'
      << "certificate  " << printable(agreement.tls.subject) << ", "
      << text_of_days_left(agreement.tls.expires_unix_s) << '\n'
      << "agreed       " << aead_name(agreement) << ", " << agreement.cookies << " cookies of "
      << agreement.cookie_bytes << " octets\n";
}

void print_ntp_server(std::ostream& out, const QueryFacts& facts) {
  out << "NTP server   " << endpoint_text(facts.ntp_server, facts.ntp_port);
  if (facts.agreement && !facts.agreement->ntp_server.empty()) {
    out << ", told by NTS-KE as " << printable(facts.agreement->ntp_server);
  }
  out << "\n\n";
}

void print_sample(std::ostream& out, const QueryFacts& facts) {
  constexpr const char* pattern = "%2s  %11s  %10s  %7s  %-11s  %-15s  %10s  %10s  %s\n";
  if (facts.samples.size() == 1) {
    out << format(pattern, "#", "offset", "delay", "stratum", "leap second", "reference", "root delay",
                  "dispersion", "");
  }
  const NtpExchange& exchange = facts.samples.back().exchange;
  const std::string number = std::to_string(facts.samples.size());
  if (exchange.end != NtpExchange::End::answered) {
    out << format("%2s  ", number.c_str())
        << (exchange.end == NtpExchange::End::silent ? "no answer" : "unreachable: " + exchange.fault);
    if (exchange.ignored != 0) {
      out << ", " << exchange.ignored << " other packets ignored (last: " << name_of(exchange.last_ignored)
          << ")";
    }
    out << '\n';
    return;
  }
  const nts::Answer& answer = exchange.answer;
  const bool has_time = brought_time(exchange);
  out << format(
      pattern, number.c_str(), has_time ? text_of_offset(exchange.measurement.offset_ns).c_str() : "-",
      has_time ? text_of_duration(exchange.measurement.delay_ns).c_str() : "-",
      std::to_string(answer.stratum).c_str(), text_of_leap(answer.leap),
      text_of_reference_id(answer.reference_id, answer.stratum).c_str(),
      text_of_duration(nts::ns_from_short(answer.root_delay)).c_str(),
      text_of_duration(nts::ns_from_short(answer.root_dispersion)).c_str(), remark_on(exchange).c_str());
}

void print_best(std::ostream& out, const QueryFacts& facts) {
  const QuerySample* best = best_of(facts.samples);
  if (best == nullptr) return;
  const nts::Measurement& m = best->exchange.measurement;
  out << (best->exchange.answer.verdict == AnswerVerdict::good ? "\nbest         " : "\nnot to be used: ")
      << "the server's clock is " << text_of_duration(m.offset_ns < 0 ? -m.offset_ns : m.offset_ns)
      << (m.offset_ns < 0 ? " behind" : " ahead of") << " this machine's, give or take "
      << text_of_duration(m.delay_ns / 2);
  if (facts.agreement) out << "; " << facts.agreement->session.cookies.count() << " cookies left";
  out << '\n';
}

void print_json(std::ostream& out, const QueryFacts& facts) {
  Json json = {{"host", printable(facts.host)}, {"ok", facts.error.empty()}};
  if (!facts.error.empty()) json["error"] = facts.error;
  if (facts.agreement) json["ke"] = json_of(facts, *facts.agreement);
  json["ntp"] = Json::array();
  for (const QuerySample& sample : facts.samples) json["ntp"].push_back(json_of(sample));
  if (const QuerySample* best = best_of(facts.samples); best != nullptr) {
    json["offset_ns"] = best->exchange.measurement.offset_ns;
    json["delay_ns"] = best->exchange.measurement.delay_ns;
  }
  if (facts.agreement) json["cookies_left"] = facts.agreement->session.cookies.count();
  out << json.dump(2) << '\n';
}

}  // namespace control
