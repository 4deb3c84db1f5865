// The OpenSSL edge: TLS 1.3 over memory, for NTS-KE (RFC 8915 section 3). No socket, no OpenSSL type outside.
//
// Octets from the network go in with receive(), octets for the network come out of take_output(). TLS 1.3
// only, ALPN ntske/1 or nothing, no tickets, no resumption, no early data, no renegotiation, no client
// certificate. There is one certificate: whatever name a client asks for gets it, and so does none; what no
// host can be called (with a NUL inside, or longer than 255 octets) is refused.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace control {

// A wrong machine: what() is one sentence with the file and what to do.
class TlsError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// RFC 5905 section 7.3: how a client of the server at this IPv6 address names it, the first four octets of
// the address's MD5. 0 where OpenSSL has no MD5 (FIPS).
[[nodiscard]] std::uint32_t reference_id_of_ipv6(std::span<const std::uint8_t, 16> address);

struct TlsContextState;

// What a person wants to know of a connection.
struct TlsFacts {
  std::string version;
  std::string cipher;
  std::string subject;  // of the peer's certificate, a refused one too; empty without one
  std::string issuer;
  std::string not_after;  // of the peer's certificate, as OpenSSL prints it
  std::int64_t expires_unix_s = 0;
  std::string verify_fault;  // empty: the peer's certificate was verified
};

// Certificate and policy, shared by connections. Immutable: a reload makes a new one.
class TlsContext {
 public:
  // Loads a PEM chain and its key. Refuses a key that does not belong to the certificate, an encrypted one,
  // and what cannot be parsed. Throws TlsError.
  [[nodiscard]] static TlsContext for_server(const std::filesystem::path& certificate,
                                             const std::filesystem::path& private_key);
  // Verifies servers against `ca_file`, or against the system's store when it is empty. Throws TlsError.
  [[nodiscard]] static TlsContext for_client(const std::filesystem::path& ca_file);

  // Of our own certificate: seconds since 1970 at which it expires. 0 for a client.
  [[nodiscard]] std::int64_t expires_unix_s() const;

 private:
  friend class TlsConnection;
  explicit TlsContext(std::shared_ptr<const TlsContextState> state) : state_(std::move(state)) {}
  std::shared_ptr<const TlsContextState> state_;
};

class TlsConnection {
 public:
  enum class State : std::uint8_t {
    handshaking,
    established,  // with ntske/1
    ended,        // the peer said close_notify
    failed,       // an alert, a refused certificate, or no TLS at all
  };

  // The server's end. The expensive part is made here, so make it at the first octet.
  [[nodiscard]] static TlsConnection accept(const TlsContext& context);
  // The client's end; `host` is the name or address the certificate must be for.
  [[nodiscard]] static TlsConnection connect(const TlsContext& context, const std::string& host);
  TlsConnection(TlsConnection&&) noexcept;
  TlsConnection& operator=(TlsConnection&&) noexcept;
  ~TlsConnection();

  // Takes octets from the network; plaintext that they bring is appended to `plaintext`.
  State receive(std::span<const std::uint8_t> octets, std::vector<std::uint8_t>& plaintext);
  // Seals `plaintext` into one record. Requires: established, at most 16384 octets.
  void send(std::span<const std::uint8_t> plaintext);
  // Says close_notify.
  void close();
  // What must go to the network now; empty when nothing.
  [[nodiscard]] std::vector<std::uint8_t> take_output();

  [[nodiscard]] State state() const noexcept;
  // RFC 8446 section 7.5. Requires: established. False when OpenSSL refuses.
  [[nodiscard]] bool export_key(const std::string& label, std::span<const std::uint8_t> context,
                                std::span<std::uint8_t> key) const;
  [[nodiscard]] TlsFacts facts() const;
  // Why it failed, for people; empty while it has not.
  [[nodiscard]] std::string fault() const;

 private:
  struct Implementation;
  explicit TlsConnection(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace control
