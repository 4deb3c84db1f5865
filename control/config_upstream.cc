#include "control/config_upstream.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <functional>
#include <map>

#include "control/config_value.h"
#include "hwclock/upstream_vote.h"

namespace control {
namespace {

constexpr std::uint16_t ntp_port = 123;
constexpr std::uint16_t ke_port = 4460;

// As everybody would write it: an address in its one form, a name without capitals and closing dot.
std::string plain_host(std::string host) {
  boost::system::error_code is_name;
  boost::asio::ip::address address = boost::asio::ip::make_address(host, is_name);
  if (!is_name) {
    if (address.is_v6() && address.to_v6().is_v4_mapped())
      address = boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
    return address.to_string();
  }
  for (char& letter : host) letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32) : letter;
  if (host.ends_with('.')) host.pop_back();
  return host;
}

std::uint16_t port_of(const Upstream& one) {
  if (one.port != 0) return one.port;
  return one.nts ? ke_port : ntp_port;
}

using Readers = std::map<std::string_view, std::function<void(const ConfigValue&)>>;

Readers readers_of(Upstream& one) {
  using V = const ConfigValue&;
  return {{"host", [&](V v) { one.host = read_host(v); }},
          {"port", [&](V v) { one.port = read_port(v); }},
          {"nts", [&](V v) { one.nts = read_boolean(v); }},
          {"ca", [&](V v) { one.ca = read_file_path(v); }},
          {"minpoll", [&](V v) { one.minpoll = read_number(v, 0, poll_exponent_max); }},
          {"maxpoll", [&](V v) { one.maxpoll = read_number(v, 0, poll_exponent_max); }},
          {"iburst", [&](V v) { one.iburst = read_boolean(v); }},
          {"trust", [&](V v) {
             one.trust = read_choice<UpstreamTrust>(
                 v, {{"witness", UpstreamTrust::witness}, {"fallback", UpstreamTrust::fallback}});
           }}};
}

Upstream read_upstream(const toml::table& table, const std::string& file) {
  Upstream one;
  const Readers readers = readers_of(one);
  std::string known;
  for (const auto& [name, reader] : readers) known += (known.empty() ? "" : ", ") + std::string(name);
  for (const auto& [key, node] : table) {
    const std::string path = "[[upstream]] " + std::string(key.str());
    const auto reader = readers.find(key.str());
    if (reader == readers.end()) {
      refuse_at(file, key.source().begin, path + " is not an option", "there are only " + known);
    }
    reader->second({node, file, path});
  }
  const auto& place = table.source().begin;
  if (one.host.empty()) {
    refuse_at(file, place, "[[upstream]] host is missing", "write the name or address of the server to ask");
  }
  // Who writes one of the two means that one; the other's default gives way.
  if (one.minpoll > one.maxpoll) {
    if (table.contains("minpoll") && table.contains("maxpoll")) {
      refuse_at(file, place, "[[upstream]] minpoll is larger than maxpoll",
                "lower the first or raise the second");
    }
    (table.contains("minpoll") ? one.maxpoll : one.minpoll) =
        table.contains("minpoll") ? one.minpoll : one.maxpoll;
  }
  if (!one.nts && !one.ca.empty()) {
    refuse_at(file, place, "[[upstream]] ca is set for " + one.host + ", which is asked without NTS",
              "write nts = true, or remove ca");
  }
  return one;
}

}  // namespace

std::vector<Upstream> read_upstreams(const toml::node& node, const std::string& file) {
  const toml::array* sections = node.as_array();
  const bool is_list =
      sections != nullptr &&
      std::all_of(sections->begin(), sections->end(), [](const toml::node& one) { return one.is_table(); });
  if (!is_list) {
    refuse_at(file, node.source().begin, "upstream is a section that may stand there several times",
              "write [[upstream]] on a line of its own, the options below");
  }
  if (sections->size() > hwclock::upstreams_max) {
    refuse_at(file, node.source().begin,
              "there are " + std::to_string(sections->size()) + " [[upstream]] sections",
              "keep at most " + std::to_string(hwclock::upstreams_max));
  }
  std::vector<Upstream> upstreams;
  for (const toml::node& section : *sections) {
    const toml::table& table = *section.as_table();
    Upstream one = read_upstream(table, file);
    for (const Upstream& earlier : upstreams) {
      // One server must not have two votes. Two names of it are found out once they are looked up.
      if (plain_host(earlier.host) == plain_host(one.host) && port_of(earlier) == port_of(one)) {
        refuse_at(file, table.source().begin,
                  "[[upstream]] host \"" + one.host + "\" stands there twice" +
                      (earlier.host == one.host ? "" : ", once as \"" + earlier.host + "\""),
                  "remove one of the two");
      }
    }
    upstreams.push_back(std::move(one));
  }
  return upstreams;
}

bool has_fallback(const Config& config) {
  return std::any_of(config.upstreams.begin(), config.upstreams.end(),
                     [](const Upstream& one) { return one.trust == UpstreamTrust::fallback; });
}

bool has_date(const Config& config) {
  return std::any_of(config.upstreams.begin(), config.upstreams.end(),
                     [&](const Upstream& one) { return one.nts || config.clock.unauthenticated_date; });
}

void require_upstreams_agree(const Config& config, const std::string& file) {
  if (config.clock.source == ClockSource::upstream && !has_fallback(config)) {
    refuse_at(file, {0, 0}, "[clock] source is \"upstream\", and no [[upstream]] may give the time",
              "add one section [[upstream]] with a host, and with trust = \"fallback\" or without trust");
  }
}

}  // namespace control
