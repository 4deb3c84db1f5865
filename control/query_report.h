// What `noonmark query` found out, as a person reads it and as a program does (the shape stands in query.h).
//
// Much of it was written by a stranger: names, reference ids and certificate subjects are printed as ASCII
// with everything else replaced, so that a server cannot write to the operator's terminal.
#pragma once

#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/ke_client.h"
#include "control/ntp_exchange.h"
#include "control/printable.h"

namespace control {

struct QuerySample {
  boost::asio::ip::udp::endpoint server;
  NtpExchange exchange;
};

struct QueryFacts {
  std::string host;
  std::uint16_t ke_port = 0;
  std::unique_ptr<KeAgreement> agreement;  // null without NTS, and until there is one
  std::string ntp_server;                  // the address asked first
  std::uint16_t ntp_port = 0;
  std::vector<QuerySample> samples;
  std::string error;  // one sentence; empty: time was taken
};

// True for exchanges that brought time stamps, be they to be believed or not.
[[nodiscard]] bool brought_time(const NtpExchange& exchange) noexcept;

// The sample with the least delay: of the good ones, else of those that at least brought time.
[[nodiscard]] const QuerySample* best_of(const std::vector<QuerySample>& samples) noexcept;

// The steps for a person, each printed when it is done.
void print_agreement(std::ostream& out, const QueryFacts& facts);
void print_ntp_server(std::ostream& out, const QueryFacts& facts);
void print_sample(std::ostream& out,
                  const QueryFacts& facts);  // the last one, and the heading before the first
void print_best(std::ostream& out, const QueryFacts& facts);

// The object of query.h, indented, with a line end.
void print_json(std::ostream& out, const QueryFacts& facts);

// "12.3 us": four digits at most, in the unit that suits.
[[nodiscard]] std::string text_of_duration(std::int64_t ns);
// "GPS", or "192.0.2.1" when the stratum says that it is an address.
[[nodiscard]] std::string text_of_reference_id(std::uint32_t reference_id, std::uint8_t stratum);
}  // namespace control
