// Any octets as a key file: refused with a reason and without a trace, or a ring that the keeper can use and
// that comes back from a file of our own making. The checksum is added here unless flag 1 says no.
#include <algorithm>
#include <cstring>
#include <memory>
#include <sodium.h>

#include "control/key_store.h"
#include "tests/fuzz/target.h"
#include "tests/support/packet_builder.h"

namespace fuzz {
namespace {

constexpr std::uint8_t leave_checksum = 1;
constexpr std::size_t checksum_bytes = 32;

bool is_same(const control::StoredRing& left, const control::StoredRing& right) {
  return std::equal(left.ring.slots.begin(), left.ring.slots.end(), right.ring.slots.begin(),
                    [](const nts::RingKey& a, const nts::RingKey& b) {
                      return a.id == b.id && a.state == b.state && a.created_s == b.created_s &&
                             a.key == b.key;
                    }) &&
         left.ring.generation == right.ring.generation && left.ring.current_id == right.ring.current_id &&
         left.superseded_epoch_s == right.superseded_epoch_s && left.epoch_s == right.epoch_s &&
         left.boottime_s == right.boottime_s && left.boot_id == right.boot_id;
}

void run(Input input) {
  Reader reader(input);
  const std::uint8_t flags = reader.octet();
  Octets file = reader.rest();
  if ((flags & leave_checksum) == 0) {
    const std::size_t bytes = file.size();
    file.resize(bytes + checksum_bytes);
    ::crypto_generichash(file.data() + bytes, checksum_bytes, file.data(), bytes, nullptr, 0);
  }
  const auto stored = std::make_unique<control::StoredRing>();
  stored->epoch_s = 4711;
  const auto before = std::make_unique<control::StoredRing>(*stored);
  if (const std::string fault = control::decode_key_file(file, *stored); !fault.empty()) {
    require(is_same(*stored, *before), "a refused file changes nothing");
    return;
  }
  require(control::fault_of_ring(stored->ring).empty(), "a ring that was read can be used");
  const auto image = std::make_unique<control::KeyFileImage>();
  control::encode_key_file(*stored, *image);
  const auto again = std::make_unique<control::StoredRing>();
  require(control::decode_key_file(std::span(image->octets).first(image->bytes), *again).empty(),
          "a file of our own making is read");
  require(is_same(*stored, *again), "and holds the same");
}

std::vector<Octets> seeds() {
  std::vector<Octets> all;
  const auto add = [&](const std::vector<tests::RingEntry>& keys, std::uint8_t flags) {
    const auto stored = std::make_unique<control::StoredRing>();
    stored->ring = tests::make_ring(keys);
    const auto image = std::make_unique<control::KeyFileImage>();
    control::encode_key_file(*stored, *image);
    const std::size_t bytes = image->bytes - ((flags & leave_checksum) == 0 ? checksum_bytes : 0);
    all.push_back(with_flags(
        flags, Octets(image->octets.begin(), image->octets.begin() + static_cast<std::ptrdiff_t>(bytes))));
  };
  using nts::KeyState;
  add({{7, KeyState::current}}, 0);
  add({{6, KeyState::retired}, {7, KeyState::current}, {8, KeyState::accepting}}, 0);
  add({{7, KeyState::current}}, leave_checksum);
  return all;
}

const Registration registration({"key_file", run, seeds});

}  // namespace
}  // namespace fuzz
