// What somebody says on gpsd's port: read in pieces and as a whole, nothing is made of it that cannot be, and
// libgps comes back. The first octet says what follows: bit 0: a list of members that become one line of the
// class that bits 1 to 3 choose, so that the fuzzer need not find braces; else the connection as it is.
#include "hwclock/gpsd.h"

#include <cmath>
#include <string>

#include "hwclock/calendar.h"
#include "hwclock/receiver.h"
#include "tests/fuzz/target.h"

namespace fuzz {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int64_t instant_ns_max = (std::int64_t{1} << 33) * ns_per_s;
constexpr std::string_view classes[] = {"TPV", "TOFF", "PPS", "SKY", "VERSION", "ERROR", "DEVICES", "ATT"};

Octets octets_of(std::string_view text) { return {text.begin(), text.end()}; }

Octets connection_of(Input input) {
  Reader reader(input);
  const std::uint8_t flags = reader.octet();
  if ((flags & 1) == 0) return reader.rest();
  Octets line =
      octets_of("{\"class\":\"" + std::string(classes[flags >> 1 & 7]) + "\",\"device\":\"/dev/ttyS0\",");
  const Octets members = reader.rest();
  line.insert(line.end(), members.begin(), members.end());
  const Octets end = octets_of("}\r\n");
  line.insert(line.end(), end.begin(), end.end());
  return line;
}

void require_instant(std::int64_t ns) {
  require(ns >= ns_per_s && ns < instant_ns_max, "an instant of our era");
}

struct IsBelievable {
  void operator()(const hwclock::GpsdFix& fix) const {
    require(fix.has_fix || !fix.place, "who has no fix is nowhere");
    if (fix.has_fix) require_instant(fix.utc_ns);
    require(fix.gps_minus_utc_s >= 0 && fix.gps_minus_utc_s <= 255, "leap seconds are few");
    if (!fix.place) return;
    require(std::fabs(fix.place->latitude_deg) <= 90.0 && std::fabs(fix.place->longitude_deg) <= 180.0,
            "a place is on Earth");
    require(fix.place->accuracy_m > 0.0 && fix.place->accuracy_m < 1e7, "and as good as it is");
  }
  void operator()(const hwclock::GpsdOffset& offset) const {
    require_instant(offset.reference_ns);
    require_instant(offset.clock_ns);
  }
  void operator()(const hwclock::GpsdPulse& pulse) const {
    require_instant(pulse.reference_ns);
    require_instant(pulse.clock_ns);
    require(pulse.error_ns > 0.0 && pulse.error_ns <= 1e9, "an edge's error is within a second");
    require(std::fabs(pulse.sawtooth_ns) <= 1'000.0, "a sawtooth is below a microsecond");
  }
  void operator()(const hwclock::GpsdSky&) const {}
  void operator()(const hwclock::GpsdVersion&) const {}
  void operator()(const hwclock::GpsdRefusal& refusal) const {
    for (const char c : refusal.text) require(c >= ' ' && c <= '~', "what is logged is printable");
  }
};

void run(Input input) {
  const Octets connection = connection_of(input);
  hwclock::GpsdReader whole_reader;
  std::vector<hwclock::GpsdMessage> whole;
  whole_reader.take(connection, whole);

  hwclock::GpsdReader reader;
  std::vector<hwclock::GpsdMessage> pieces;
  constexpr std::size_t piece_octets = 7;
  for (std::size_t at = 0; at < connection.size(); at += piece_octets)
    reader.take(Input(connection).subspan(at, std::min(piece_octets, connection.size() - at)), pieces);
  require(whole.size() == pieces.size() && whole_reader.dropped_lines() == reader.dropped_lines(),
          "how it comes says nothing");

  const hwclock::LeapTable leaps = hwclock::LeapTable::compiled();
  hwclock::Receiver receiver(1'000'000'000, leaps, hwclock::written_utc_s, 100.0);
  std::uint64_t tick = 0;
  for (const hwclock::GpsdMessage& message : whole) {
    std::visit(IsBelievable{}, message);
    std::optional<hwclock::TimeOfDay> told;
    if (const auto* fix = std::get_if<hwclock::GpsdFix>(&message)) told = receiver.take(*fix, ++tick);
    if (const auto* offset = std::get_if<hwclock::GpsdOffset>(&message))
      told = receiver.take(*offset, ++tick);
    if (told) {
      constexpr std::int64_t leap_s_max = 300;
      require(told->tick == tick, "told now");
      require(hwclock::is_possible_date(told->tai_s, hwclock::written_utc_s) ||
                  hwclock::is_possible_date(told->tai_s - leap_s_max, hwclock::written_utc_s),
              "no date is believed that cannot be (TESTS.md I03)");
    }
  }
}

std::vector<Octets> seeds() {
  const std::vector<std::string> lines = {
      R"({"class":"VERSION","release":"3.22","rev":"3.22","proto_major":3,"proto_minor":14})",
      R"({"class":"DEVICES","devices":[{"class":"DEVICE","path":"/dev/ttyS0","activated":"2026-11-27T02:11:12.081Z"}]})",
      R"({"class":"TPV","device":"/dev/ttyS0","mode":3,"time":"2026-11-27T12:00:00.000Z","leapseconds":18,)"
      R"("ept":0.005,"lat":51.4779,"lon":-0.00015,"alt":46.0,"eph":4.5})",
      R"({"class":"TOFF","device":"/dev/ttyS0","real_sec":1795780800, "real_nsec":0,"clock_sec":1795780800,)"
      R"("clock_nsec":81270548})",
      R"({"class":"PPS","device":"/dev/pps0","real_sec":1795780800, "real_nsec":0,"clock_sec":1795780800,)"
      R"("clock_nsec":1234,"precision":-20,"qErr":-1234})",
      R"({"class":"SKY","device":"/dev/ttyS0","nSat":2,"uSat":1,"satellites":[{"PRN":5,"el":60.0,"az":100.0,)"
      R"("ss":40.0,"used":true},{"PRN":13,"used":false}]})",
      R"({"class":"ERROR","message":"Unrecognized request"})",
      R"({"class":"TPV","device"class":"TPV"})",
      R"({"class":"TPV","mode":3,"time":"2026-13-45T99:99:99Z","lat":nan,"lon":1e999})"};
  std::vector<Octets> all;
  Octets connection = {0};
  for (const std::string& line : lines) {
    const Octets octets = octets_of(line + "\r\n");
    all.push_back(with_flags(0, octets));
    connection.insert(connection.end(), octets.begin(), octets.end());
  }
  all.push_back(connection);
  all.push_back(with_flags(1, octets_of(R"("mode":2,"time":"2007-04-13T12:00:00.000Z")")));
  all.push_back(with_flags(3, octets_of(R"("real_sec":1,"real_nsec":2,"clock_sec":3,"clock_nsec":4)")));
  all.push_back(
      with_flags(5, octets_of(R"("real_sec":1,"real_nsec":2,"clock_sec":3,"clock_nsec":4,"precision":-1)")));
  all.push_back(with_flags(7, octets_of(R"("satellites":[{"PRN":1,"used":true},{}])")));
  return all;
}

const Registration registration({"gpsd", run, seeds});

}  // namespace
}  // namespace fuzz
