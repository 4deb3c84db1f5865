#include "control/tls.h"

#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <ctime>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <system_error>

#include "nts/check.h"

namespace control {

struct TlsContextState {
  SSL_CTX* context = nullptr;
  std::int64_t expires_unix_s = 0;
  TlsContextState() = default;
  TlsContextState(const TlsContextState&) = delete;
  TlsContextState& operator=(const TlsContextState&) = delete;
  ~TlsContextState() { SSL_CTX_free(context); }
};

namespace {

constexpr unsigned char alpn_offer[] = {7, 'n', 't', 's', 'k', 'e', '/', '1'};
constexpr std::string_view alpn_protocol = "ntske/1";
constexpr std::size_t record_plaintext_bytes_max = 16384;  // RFC 8446 section 5.1

// OpenSSL's own words for what went wrong last, and an empty queue.
std::string last_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown reason";
  if (ERR_SYSTEM_ERROR(code)) return std::generic_category().message(ERR_GET_REASON(code));
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code);
}

// A client without ALPN never reaches the selection below, so it is refused here (RFC 8915 section 3).
int require_alpn(SSL* ssl, int* alert, void*) {
  const unsigned char* extension = nullptr;
  std::size_t bytes = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &extension,
                                &bytes) == 1) {
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
  return SSL_CLIENT_HELLO_ERROR;
}

int select_alpn(SSL*, const unsigned char** chosen, unsigned char* chosen_bytes, const unsigned char* offered,
                unsigned offered_bytes, void*) {
  unsigned char* match = nullptr;
  if (SSL_select_next_proto(&match, chosen_bytes, alpn_offer, sizeof alpn_offer, offered, offered_bytes) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = match;
  return SSL_TLSEXT_ERR_OK;
}

// A key that asks for a password is refused instead of waiting for somebody to type one.
int no_password(char*, int, int, void*) { return -1; }

std::shared_ptr<TlsContextState> new_context(const SSL_METHOD* method) {
  auto state = std::make_shared<TlsContextState>();
  state->context = SSL_CTX_new(method);
  if (state->context == nullptr) throw TlsError("OpenSSL cannot make a TLS context: " + last_error());
  SSL_CTX* context = state->context;
  if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1) {
    throw TlsError("OpenSSL here has no TLS 1.3, which NTS-KE needs; check the system's crypto policy");
  }
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_default_passwd_cb(context, no_password);
  return state;
}

std::int64_t expiry_of(const X509* certificate) {
  std::tm expiry{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &expiry) != 1) return 0;
  return ::timegm(&expiry);
}

// SNI. OpenSSL's macro for it casts in a way our warnings refuse.
bool set_server_name(SSL* ssl, const std::string& host) {
  return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                  const_cast<char*>(host.c_str())) == 1;
}

bool is_address(const std::string& host) {
  unsigned char octets[16];
  return ::inet_pton(AF_INET, host.c_str(), octets) == 1 || ::inet_pton(AF_INET6, host.c_str(), octets) == 1;
}

std::string name_of(const X509_NAME* name) {
  BIO* memory = BIO_new(BIO_s_mem());
  X509_NAME_print_ex(memory, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
  char* text = nullptr;
  const long bytes = BIO_get_mem_data(memory, &text);
  std::string copy(text, static_cast<std::size_t>(bytes));
  BIO_free(memory);
  return copy;
}

// The peer's own certificate. One that was refused is kept only at the head of the chain that was tried.
const X509* certificate_of_peer(const SSL* ssl) {
  if (const X509* accepted = SSL_get0_peer_certificate(ssl); accepted != nullptr) return accepted;
  const STACK_OF(X509)* tried = SSL_get0_verified_chain(ssl);
  return tried != nullptr && sk_X509_num(tried) > 0 ? sk_X509_value(tried, 0) : nullptr;
}

std::string time_of(const ASN1_TIME* time) {
  BIO* memory = BIO_new(BIO_s_mem());
  ASN1_TIME_print(memory, time);
  char* text = nullptr;
  const long bytes = BIO_get_mem_data(memory, &text);
  std::string copy(text, static_cast<std::size_t>(bytes));
  BIO_free(memory);
  return copy;
}

}  // namespace

std::uint32_t reference_id_of_ipv6(std::span<const std::uint8_t, 16> address) {
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned bytes = 0;
  if (EVP_Digest(address.data(), address.size(), digest.data(), &bytes, EVP_md5(), nullptr) != 1 || bytes < 4)
    return 0;
  return std::uint32_t{digest[0]} << 24 | std::uint32_t{digest[1]} << 16 | std::uint32_t{digest[2]} << 8 |
         std::uint32_t{digest[3]};
}

TlsContext TlsContext::for_server(const std::filesystem::path& certificate,
                                  const std::filesystem::path& private_key) {
  ERR_clear_error();
  auto state = new_context(TLS_server_method());
  SSL_CTX* context = state->context;
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_client_hello_cb(context, require_alpn, nullptr);
  SSL_CTX_set_alpn_select_cb(context, select_alpn, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1) {
    throw TlsError(certificate.string() + ": is no certificate chain in PEM (" + last_error() +
                   "); set [nts_ke] certificate to one");
  }
  if (SSL_CTX_use_PrivateKey_file(context, private_key.c_str(), SSL_FILETYPE_PEM) != 1) {
    const std::string reason = last_error();
    throw TlsError(private_key.string() + ": is no readable, unencrypted private key for " +
                   certificate.string() + " (" + reason +
                   "); set [nts_ke] private_key to the key of that certificate");
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    throw TlsError(private_key.string() + ": does not belong to " + certificate.string() + " (" +
                   last_error() + ")");
  }
  state->expires_unix_s = expiry_of(SSL_CTX_get0_certificate(context));
  return TlsContext(state);
}

TlsContext TlsContext::for_client(const std::filesystem::path& ca_file) {
  ERR_clear_error();
  auto state = new_context(TLS_client_method());
  SSL_CTX* context = state->context;
  const bool has_store = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context) == 1
                                         : SSL_CTX_load_verify_file(context, ca_file.c_str()) == 1;
  if (!has_store) {
    throw TlsError((ca_file.empty() ? std::string("the system's certificate store") : ca_file.string()) +
                   ": cannot be read as CA certificates in PEM (" + last_error() + ")");
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (SSL_CTX_set_alpn_protos(context, alpn_offer, sizeof alpn_offer) != 0) {
    throw TlsError("OpenSSL refuses ALPN: " + last_error());
  }
  return TlsContext(state);
}

std::int64_t TlsContext::expires_unix_s() const { return state_->expires_unix_s; }

struct TlsConnection::Implementation {
  std::shared_ptr<const TlsContextState> context;  // outlives a reload
  SSL* ssl = nullptr;
  BIO* from_network = nullptr;  // owned by ssl
  BIO* to_network = nullptr;    // owned by ssl
  State state = State::handshaking;
  std::string fault;

  explicit Implementation(std::shared_ptr<const TlsContextState> with) : context(std::move(with)) {
    ERR_clear_error();
    ssl = SSL_new(context->context);
    from_network = BIO_new(BIO_s_mem());
    to_network = BIO_new(BIO_s_mem());
    if (ssl == nullptr || from_network == nullptr || to_network == nullptr) throw std::bad_alloc();
    SSL_set_bio(ssl, from_network, to_network);
  }
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;
  ~Implementation() { SSL_free(ssl); }

  void fail() {
    state = State::failed;
    const long verified = SSL_get_verify_result(ssl);
    fault = SSL_is_server(ssl) == 0 && verified != X509_V_OK ? X509_verify_cert_error_string(verified)
                                                             : last_error();
    ERR_clear_error();
  }

  // What a call that returned `result` means: true when it only wants more octets.
  bool wants_more(int result) { return SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ; }

  void shake_hands() {
    const int result = SSL_do_handshake(ssl);
    if (result == 1) {
      const unsigned char* chosen = nullptr;
      unsigned bytes = 0;
      SSL_get0_alpn_selected(ssl, &chosen, &bytes);
      if (std::string_view(reinterpret_cast<const char*>(chosen), bytes) == alpn_protocol) {
        state = State::established;
      } else {
        state = State::failed;
        fault = "the server does not speak ntske/1 (ALPN)";
      }
    } else if (!wants_more(result)) {
      fail();
    }
  }

  void read(std::vector<std::uint8_t>& plaintext) {
    std::uint8_t buffer[4096];
    while (state == State::established) {
      const int result = SSL_read(ssl, buffer, sizeof buffer);
      if (result > 0) {
        plaintext.insert(plaintext.end(), buffer, buffer + result);
      } else if (SSL_get_error(ssl, result) == SSL_ERROR_ZERO_RETURN) {
        state = State::ended;
      } else if (wants_more(result)) {
        return;
      } else {
        fail();
      }
    }
  }
};

TlsConnection::TlsConnection(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
TlsConnection::TlsConnection(TlsConnection&&) noexcept = default;
TlsConnection& TlsConnection::operator=(TlsConnection&&) noexcept = default;
TlsConnection::~TlsConnection() = default;

TlsConnection TlsConnection::accept(const TlsContext& context) {
  auto implementation = std::make_unique<Implementation>(context.state_);
  SSL_set_accept_state(implementation->ssl);
  return TlsConnection(std::move(implementation));
}

TlsConnection TlsConnection::connect(const TlsContext& context, const std::string& host) {
  auto implementation = std::make_unique<Implementation>(context.state_);
  SSL* ssl = implementation->ssl;
  SSL_set_connect_state(ssl);
  const bool is_set = is_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1
                                       : SSL_set1_host(ssl, host.c_str()) == 1 && set_server_name(ssl, host);
  if (!is_set) throw TlsError(host + ": is no name or address that a certificate can be for");
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  implementation->shake_hands();
  return TlsConnection(std::move(implementation));
}

TlsConnection::State TlsConnection::receive(std::span<const std::uint8_t> octets,
                                            std::vector<std::uint8_t>& plaintext) {
  ERR_clear_error();
  Implementation& tls = *implementation_;
  if (tls.state == State::ended || tls.state == State::failed) return tls.state;
  if (!octets.empty()) {
    const int taken = BIO_write(tls.from_network, octets.data(), static_cast<int>(octets.size()));
    if (taken != static_cast<int>(octets.size()))
      throw std::bad_alloc();  // memory BIOs refuse for nothing else
  }
  if (tls.state == State::handshaking) tls.shake_hands();
  if (tls.state == State::established) tls.read(plaintext);
  return tls.state;
}

void TlsConnection::send(std::span<const std::uint8_t> plaintext) {
  ERR_clear_error();
  Implementation& tls = *implementation_;
  nts::check(tls.state == State::established || tls.state == State::ended);
  nts::check(!plaintext.empty() && plaintext.size() <= record_plaintext_bytes_max);
  const int result = SSL_write(tls.ssl, plaintext.data(), static_cast<int>(plaintext.size()));
  if (result != static_cast<int>(plaintext.size())) tls.fail();
}

void TlsConnection::close() {
  ERR_clear_error();
  Implementation& tls = *implementation_;
  if (tls.state == State::established || tls.state == State::ended) SSL_shutdown(tls.ssl);
}

std::vector<std::uint8_t> TlsConnection::take_output() {
  std::vector<std::uint8_t> output(static_cast<std::size_t>(BIO_pending(implementation_->to_network)));
  if (!output.empty()) BIO_read(implementation_->to_network, output.data(), static_cast<int>(output.size()));
  return output;
}

TlsConnection::State TlsConnection::state() const noexcept { return implementation_->state; }

bool TlsConnection::export_key(const std::string& label, std::span<const std::uint8_t> context,
                               std::span<std::uint8_t> key) const {
  ERR_clear_error();
  return SSL_export_keying_material(implementation_->ssl, key.data(), key.size(), label.data(), label.size(),
                                    context.data(), context.size(), 1) == 1;
}

TlsFacts TlsConnection::facts() const {
  const SSL* ssl = implementation_->ssl;
  TlsFacts facts;
  facts.version = SSL_get_version(ssl);
  if (const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl); cipher != nullptr)
    facts.cipher = SSL_CIPHER_get_name(cipher);
  if (const X509* peer = certificate_of_peer(ssl); peer != nullptr) {
    facts.subject = name_of(X509_get_subject_name(peer));
    facts.issuer = name_of(X509_get_issuer_name(peer));
    facts.not_after = time_of(X509_get0_notAfter(peer));
    facts.expires_unix_s = expiry_of(peer);
  }
  if (const long verified = SSL_get_verify_result(ssl); verified != X509_V_OK) {
    facts.verify_fault = X509_verify_cert_error_string(verified);
  }
  return facts;
}

std::string TlsConnection::fault() const { return implementation_->fault; }

}  // namespace control
