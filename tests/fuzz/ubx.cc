// A serial line of u-blox messages: read an octet at a time and, for comparison, by looking over the whole.
// The first octet says what follows: bit 0: messages (class, id, length, payload), which are framed and
// summed up; else the line as it is.
#include "hwclock/ubx.h"

#include <tuple>
#include <utility>

#include "tests/fuzz/target.h"

namespace fuzz {
namespace {

constexpr std::size_t header_bytes = 6;
constexpr std::size_t frame_bytes = header_bytes + 2;

// Both octets of the checksum over class, id, length and payload.
std::pair<std::uint8_t, std::uint8_t> checksum_of(Input summed) {
  std::uint8_t a = 0;
  std::uint8_t b = 0;
  for (const std::uint8_t octet : summed) {
    a = static_cast<std::uint8_t>(a + octet);
    b = static_cast<std::uint8_t>(b + a);
  }
  return {a, b};
}

void append_frame(Octets& line, std::uint8_t message_class, std::uint8_t id, const Octets& payload) {
  const std::size_t at = line.size();
  line.insert(line.end(), {0xb5, 0x62, message_class, id, static_cast<std::uint8_t>(payload.size()),
                           static_cast<std::uint8_t>(payload.size() >> 8)});
  line.insert(line.end(), payload.begin(), payload.end());
  const auto [a, b] = checksum_of(Input(line).subspan(at + 2));
  line.insert(line.end(), {a, b});
}

Octets line_of(Input input) {
  Reader reader(input);
  if ((reader.octet() & 1) == 0) return reader.rest();
  Octets line;
  while (!reader.is_empty()) {
    const std::uint8_t message_class = reader.octet();
    const std::uint8_t id = reader.octet();
    append_frame(line, message_class, id, reader.take(reader.octet()));
  }
  return line;
}

struct Found {
  std::vector<std::pair<std::size_t, hwclock::UbxMessage>> messages;  // with where each ended
  std::uint64_t dropped = 0;
};

// Whole messages, by position. What was dropped is not looked at again, but for the octet behind it.
Found look_over(Input line) {
  Found found;
  std::size_t at = 0;
  while (at + header_bytes <= line.size()) {
    if (line[at] != 0xb5 || line[at + 1] != 0x62) {
      ++at;
      continue;
    }
    const std::size_t payload_bytes = static_cast<std::size_t>(line[at + 4] | line[at + 5] << 8);
    if (payload_bytes > hwclock::UbxReader::payload_max) {
      ++found.dropped;
      at += header_bytes;
      continue;
    }
    const std::size_t sums_at = at + header_bytes + payload_bytes;
    if (sums_at >= line.size()) break;
    const auto [a, b] = checksum_of(line.subspan(at + 2, header_bytes - 2 + payload_bytes));
    if (line[sums_at] != a) {
      ++found.dropped;
      at = sums_at + 1;
      continue;
    }
    if (sums_at + 1 >= line.size()) break;
    if (line[sums_at + 1] != b) {
      ++found.dropped;
    } else if (const auto message = hwclock::read_ubx(line[at + 2], line[at + 3],
                                                      line.subspan(at + header_bytes, payload_bytes))) {
      found.messages.emplace_back(sums_at + 1, *message);
    }
    at += frame_bytes + payload_bytes;
  }
  return found;
}

struct IsBelievable {
  void operator()(const hwclock::UbxTime& time) const {
    require(time.nanoseconds >= -1'000'000'000 && time.nanoseconds <= 1'000'000'000, "a second has so many");
  }
  void operator()(const hwclock::UbxPulse& pulse) const {
    require(
        !pulse.has_quantisation || (pulse.quantisation_ps > -1'000'000 && pulse.quantisation_ps < 1'000'000),
        "a quantisation error is below a microsecond");
  }
  void operator()(const hwclock::UbxLeap& leap) const {
    require(!leap.is_change_valid || (leap.change_s >= -1 && leap.change_s <= 1), "a leap is one second");
  }
  void operator()(const hwclock::UbxRadio& radio) const {
    require(radio.jamming_state <= 3 && radio.antenna <= hwclock::Antenna::open, "states are states");
  }
  void operator()(const hwclock::UbxStatus& status) const {
    require(status.spoofing_state <= 3, "there are four states of spoofing");
  }
};

void run(Input input) {
  const Octets line = line_of(input);
  const Found expected = look_over(line);
  hwclock::UbxReader reader;
  std::size_t number = 0;
  for (std::size_t at = 0; at < line.size(); ++at) {
    const std::optional<hwclock::UbxMessage> message = reader.take(line[at]);
    if (!message) continue;
    require(number < expected.messages.size() && expected.messages[number].first == at,
            "no message from nothing");
    require(expected.messages[number].second.index() == message->index(), "and of its kind");
    std::visit(IsBelievable{}, *message);
    ++number;
  }
  require(number == expected.messages.size(), "no message is missed");
  require(reader.dropped_messages() == expected.dropped, "what is dropped is counted");
}

std::vector<Octets> seeds() {
  Octets time(92, 0);
  time[4] = 0xe0, time[5] = 7, time[6] = 12, time[7] = 31, time[8] = 23, time[9] = 59, time[10] = 60,
  time[11] = 7;
  Octets radio(4 + 2 * 24, 0);
  radio[1] = 2;
  const std::vector<std::tuple<std::uint8_t, std::uint8_t, Octets>> messages = {
      {1, 7, time},      {13, 1, Octets(16, 0)}, {1, 0x26, Octets(24, 3)},
      {10, 0x38, radio}, {10, 9, Octets(60, 1)}, {1, 3, Octets(16, 16)},
      {5, 1, {}}};
  Octets listed = {1};
  Octets line = {0, '$', 0xb5};
  std::vector<Octets> all;
  for (const auto& [message_class, id, payload] : messages) {
    listed.insert(listed.end(), {message_class, id, static_cast<std::uint8_t>(payload.size())});
    listed.insert(listed.end(), payload.begin(), payload.end());
    append_frame(line, message_class, id, payload);
  }
  Octets broken = line;
  broken[broken.size() - 1] ^= 1;
  return {listed, line, broken, {0, 0xb5, 0x62, 1, 7, 0xff, 0xff, 0xb5, 0x62}};
}

const Registration registration({"ubx", run, seeds});

}  // namespace
}  // namespace fuzz
