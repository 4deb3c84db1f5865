// A keys page with anything written over it: a core takes a whole and valid ring or keeps the one it has, and
// what it then serves keeps its promises.
#include <memory>

#include "dataplane/served_keys.h"
#include "tests/fuzz/target.h"
#include "tests/support/packet_builder.h"

namespace fuzz {
namespace {

void run(Input input) {
  Reader reader(input);
  const std::uint32_t asked_id = static_cast<std::uint32_t>(reader.number64());
  static const auto page = std::make_unique<shm::KeysPage>();
  static dataplane::ServedKeys served(*nts::siv::choose_tier());
  const nts::KeyRing good = tests::make_ring({{6, nts::KeyState::retired}, {7, nts::KeyState::current}}, 3);
  page->ring.publish(good);
  served.refresh(page.get());
  require(served.ring().current_id() == 7, "a good ring is taken, whatever was there before");

  patch({reinterpret_cast<std::uint8_t*>(page.get()), sizeof *page}, reader);
  const bool is_taken = served.refresh(page.get());
  const nts::ExpandedKeyRing& ring = served.ring();
  auto value = std::make_unique<nts::KeyRing>();
  std::uint64_t generation = 0;
  const bool is_good = page->ring.read(*value, generation) && nts::is_valid(*value);
  require(!is_taken || is_good, "only a whole and valid ring is taken");
  if (!is_taken) require(ring.current_id() == 7, "a bad ring changes nothing");
  using Found = nts::ExpandedKeyRing::Found;
  if (ring.can_serve()) require(ring.find(ring.current_id()).found == Found::opens, "the current key opens");
  for (const std::uint32_t id : {0U, 0xffffffffU, asked_id}) {
    const auto lookup = ring.find(id);
    require((lookup.found == Found::opens) == (lookup.schedule != nullptr),
            "a key that opens has a schedule");
    require(id == asked_id || lookup.found == Found::unknown, "0 and 0xffffffff are never ids");
  }
}

std::vector<Octets> seeds() {
  constexpr std::size_t generation_offset = sizeof(shm::PageHeader);
  constexpr std::size_t ring_offset = generation_offset + 8;
  const auto at = [](std::size_t offset, const Octets& octets) {
    Octets made(8, 0);
    const Octets patched = patch_of(offset, octets);
    made.insert(made.end(), patched.begin(), patched.end());
    return made;
  };
  return {at(generation_offset, {5}),
          at(generation_offset, {0, 0, 0, 0, 0, 0, 0, 1}),
          at(ring_offset + 8, {6}),
          at(ring_offset + 16 + 48 * 8, {8, 0, 0, 0, 1}),
          at(ring_offset + 16 + 48 * 7, {7, 0, 0, 0, 9}),
          at(ring_offset + 8, {0})};
}

const Registration registration({"keys_page", run, seeds});

}  // namespace
}  // namespace fuzz
