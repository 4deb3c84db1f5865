// Any octets as a request: the reader's offsets stay inside and in order, reading is repeatable, and what the
// server makes of it keeps every promise of serving.h.
#include "nts/request.h"

#include "nts/cookie.h"
#include "nts/mono_root.h"
#include "nts/wire.h"
#include "tests/fuzz/serving.h"
#include "tests/nts/aead_session.h"
#include "tests/support/packet_builder.h"

namespace fuzz {
namespace {

void run(Input input) {
  const nts::Request request = nts::read_request(input);
  require(request.verdict < nts::Verdict::count, "every request has a verdict");
  const std::size_t end = input.size();
  const auto is_inside = [&](std::size_t offset, std::size_t bytes) {
    return offset >= nts::header_bytes && offset + bytes <= end;
  };
  if (request.verdict == nts::Verdict::answer_nts) {
    require(is_inside(request.unique_identifier_offset, request.unique_identifier_bytes),
            "identifier inside");
    require(is_inside(request.cookie_offset, request.cookie_bytes), "cookie inside");
    require(is_inside(request.nonce_offset, request.nonce_bytes), "nonce inside");
    require(is_inside(request.sealed_offset, request.sealed_bytes), "sealed part inside");
    require(request.sealed_bytes >= 16 && request.nonce_bytes > 0, "a tag and a nonce");
    require(
        request.unique_identifier_offset + request.unique_identifier_bytes <= request.authenticator_offset &&
            request.cookie_offset + request.cookie_bytes <= request.authenticator_offset,
        "identifier and cookie are what the client signed");
    require(request.authenticator_offset < request.nonce_offset &&
                request.nonce_offset + request.nonce_bytes <= request.sealed_offset,
            "authenticator, nonce, sealed part follow each other");
    require(request.cookies_wanted >= 1 && request.cookies_wanted <= nts::cookies_max,
            "one to eight cookies");
  }
  if (request.verdict == nts::Verdict::answer_nts || request.verdict == nts::Verdict::answer_plain) {
    require(request.answer_clear_bytes ==
                request.unique_identifier_bytes + (request.asks_mono_root ? nts::mono_root_field_bytes : 0),
            "an answer's clear fields are the identifier, and what is told to who asks");
  }
  if (nts::is_answered(request.verdict)) {
    require((input[0] & 7) == nts::mode_client, "only mode 3 is ever answered");
    require((input[0] >> 3 & 7) == 3 || (input[0] >> 3 & 7) == 4, "versions 3 and 4");
  }
  nts::Request inner;
  inner.cookie_bytes = nts::cookie_bytes;
  inner.cookies_wanted = 1;
  nts::read_encrypted_fields(input, inner);
  require(inner.cookies_wanted >= 1 && inner.cookies_wanted <= nts::cookies_max, "one to eight cookies");
  serve({input.begin(), input.end()});
}

std::vector<Octets> seeds() {
  tests::RequestBuilder strange;
  strange.field(0x2005, Octets(24, 1)).unique_identifier(40).field(0x0304, Octets(100, 0));
  Octets question(nts::mono_root_field_bytes);
  nts::write_mono_root(question.data(), {0, 0, {}, 0});
  const Octets body(question.begin() + 4, question.end());
  tests::RequestBuilder asking;
  asking.field(0xf323, body).unique_identifier().cookie(tests::usual_cookie());
  asking.authenticator(tests::key_of(0xc2));
  return {tests::RequestBuilder().field(0xf323, body).octets(),
          tests::RequestBuilder().unique_identifier().field(0xf323, body).field(0xf323, body).octets(),
          asking.octets(),
          tests::plain_request(),
          tests::plain_request(3),
          tests::plain_request(4, 6),
          tests::nts_request(),
          tests::nts_request(7),
          strange.octets(),
          tests::AeadSession(nts::AeadRow::gcm_siv_128).request(),
          tests::AeadSession(nts::AeadRow::gcm_siv_128).request(7),
          tests::RequestBuilder().unique_identifier().octets(),
          tests::RequestBuilder().raw(Octets(20, 7)).octets()};
}

const Registration registration({"request", run, seeds});

}  // namespace
}  // namespace fuzz
