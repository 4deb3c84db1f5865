// K06: writes random messages and what our tiers make of them, for an oracle that is not of C++
// (pycryptodome_test.py).
//
//   random-messages KEY_BYTES COUNT SEED   exits 1 when two tiers disagree
//
// Each is four lengths and our verdict (0 or 1), of 4 octets in little-endian order, then the octets: key,
// associated data, nonce, plaintext (sealed and received are 16 longer), sealed, received, opened.
#include "tests/nts/siv/random_messages.h"

#include <cstdio>
#include <cstdlib>

int main(int count, char** words) {
  if (count != 4) return 2;
  const auto number = [&](int at) { return std::strtoull(words[at], nullptr, 10); };
  tests::RandomMessages messages(static_cast<std::uint32_t>(number(1)), number(3), true);
  const std::uint64_t wanted = number(2);
  for (std::uint64_t done = 0; done < wanted;) {
    std::string wrong;
    const auto burst = messages.next(wrong);
    if (burst.empty()) std::fprintf(stderr, "%s\n", wrong.c_str());
    if (burst.empty()) return 1;
    for (const tests::RandomMessage& m : burst.first(std::min<std::uint64_t>(burst.size(), wanted - done))) {
      std::uint8_t head[20];
      const std::size_t lengths[] = {m.key.size(), m.associated_data.size(), m.nonce.size(),
                                     m.plaintext.size(), m.is_authentic ? 1U : 0U};
      for (std::size_t i = 0; i < sizeof head; ++i)
        head[i] = static_cast<std::uint8_t>(lengths[i / 4] >> 8 * (i % 4));
      std::fwrite(head, 1, sizeof head, stdout);
      for (const auto* octets :
           {&m.key, &m.associated_data, &m.nonce, &m.plaintext, &m.sealed, &m.received, &m.opened}) {
        std::fwrite(octets->data(), 1, octets->size(), stdout);
      }
      ++done;
    }
  }
  return 0;
}
