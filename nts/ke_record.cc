#include "nts/ke_record.h"

#include <algorithm>

#include "nts/check.h"
#include "nts/wire.h"

namespace nts::ke {
namespace {

constexpr std::size_t record_header_bytes = 4;

}  // namespace

Message::State Message::append(std::span<const std::uint8_t> octets) {
  if (state_ != State::incomplete) return state_;
  // One octet more than the cap is enough to know that it was passed.
  const std::size_t room = message_bytes_max + 1 - octets_.size();
  const std::span<const std::uint8_t> taken = octets.first(std::min(octets.size(), room));
  octets_.insert(octets_.end(), taken.begin(), taken.end());
  while (octets_.size() - whole_bytes_ >= record_header_bytes) {
    const std::uint8_t* header = octets_.data() + whole_bytes_;
    const std::size_t bytes = record_header_bytes + load_u16(header + 2);
    if (whole_bytes_ + bytes > message_bytes_max) return state_ = State::too_long;
    if (octets_.size() - whole_bytes_ < bytes) return state_;
    whole_bytes_ += bytes;
    if ((load_u16(header) & ~critical_bit) == static_cast<std::uint16_t>(RecordType::end_of_message)) {
      return state_ = State::complete;
    }
  }
  if (octets_.size() > message_bytes_max) state_ = State::too_long;
  return state_;
}

std::vector<Record> Message::records() const {
  std::vector<Record> records;
  for (std::size_t at = 0; at < whole_bytes_;) {
    const std::uint8_t* header = octets_.data() + at;
    const std::uint16_t first = load_u16(header);
    const std::size_t body_bytes = load_u16(header + 2);
    records.push_back({.type = static_cast<std::uint16_t>(first & ~critical_bit),
                       .is_critical = (first & critical_bit) != 0,
                       .body = {header + record_header_bytes, body_bytes}});
    at += record_header_bytes + body_bytes;
  }
  return records;
}

void append_record(std::vector<std::uint8_t>& octets, RecordType type, bool is_critical,
                   std::span<const std::uint8_t> body) {
  check(body.size() <= 0xffff);
  const std::size_t at = octets.size();
  octets.resize(at + record_header_bytes);
  store_u16(octets.data() + at,
            static_cast<std::uint16_t>(static_cast<std::uint16_t>(type) | (is_critical ? critical_bit : 0)));
  store_u16(octets.data() + at + 2, static_cast<std::uint16_t>(body.size()));
  octets.insert(octets.end(), body.begin(), body.end());
}

void append_record(std::vector<std::uint8_t>& octets, RecordType type, bool is_critical,
                   std::span<const std::uint16_t> numbers) {
  std::vector<std::uint8_t> body(2 * numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) store_u16(body.data() + 2 * i, numbers[i]);
  append_record(octets, type, is_critical, body);
}

bool read_numbers(std::span<const std::uint8_t> body, std::vector<std::uint16_t>& numbers) {
  if (body.size() % 2 != 0) return false;
  numbers.clear();
  for (std::size_t at = 0; at < body.size(); at += 2) numbers.push_back(load_u16(body.data() + at));
  return true;
}

}  // namespace nts::ke
