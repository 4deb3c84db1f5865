// The three passes over a burst: the packet core as a pure function of (octets, receive time, clock, keys,
// random source). The same code runs under the NIC, in a test, in a fuzzer, in a simulator and in a
// benchmark.
//
// The seal covers the transmit timestamp (RFC 8915 section 5.7: the associated data is the packet up to the
// authenticator), so the order is build, stamp, seal, send. Only seal_answers runs after the stamp was
// chosen.
#pragma once

#include <memory>

#include "nts/aead.h"
#include "nts/answer.h"
#include "nts/batch.h"
#include "nts/key_ring.h"
#include "nts/mono_root.h"
#include "nts/random.h"

namespace nts {

// What the operator lets through.
struct Policy {
  bool answer_plain = true;
  bool answer_nts = true;
};

// One per core. Holds the scratch of a burst (made at construction, wiped when it goes); keeps no memory of
// any client between bursts.
class Server {
 public:
  // The kernels and `random` outlive the server.
  Server(const AeadKernels& kernels, RandomSource& random);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Reads all requests, opens their cookies and verifies them, many at once. Sets request[i].
  void open_requests(Batch& batch, const ExpandedKeyRing& keys, const Policy& policy) noexcept;

  // Writes headers and echoed fields, seals fresh cookies, expands response keys: all that does not depend on
  // when the answer leaves. Sets answer_bytes[i]. `keys` are those of open_requests, not loaded anew since.
  void prepare_answers(Batch& batch, const ExpandedKeyRing& keys, const ClockReading& clock) noexcept;

  // Writes the headers of the rows of batch.smeared again, from `clock`: smeared time's.
  static void smear_headers(Batch& batch, const ClockReading& clock) noexcept;

  // Fills the fields of mono_root.h in the answers that have one, `smeared` on the rows of batch.smeared.
  // Until then they say that nothing is known. Nothing to do unless batch.asks_mono_root.
  static void tell_mono_root(Batch& batch, const MonoRoot& root, const MonoRoot& smeared) noexcept;

  // Writes the transmit stamp, `smeared_transmit` on the rows of batch.smeared, and seals. Ensures: for every
  // answered row, receive < transmit, and answer_bytes[i] <= packet_bytes[i]; for every other row
  // answer_bytes[i] == 0.
  void seal_answers(Batch& batch, NtpTime transmit, NtpTime smeared_transmit = {}) noexcept;

 private:
  struct Scratch;
  void verify(Batch& batch) noexcept;

  const AeadKernels kernels_;
  RandomSource& random_;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace nts
