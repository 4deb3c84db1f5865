#include "dataplane/admission.h"

namespace dataplane {
namespace {

using nts::Treatment;
using shm::FrameVerdict;

// Header 48, Unique Identifier 36, the least cookie 16, the least authenticator 28 (RFC 8915 section 5):
// nothing shorter can be an NTS request.
constexpr std::uint16_t nts_request_bytes_min = 48 + 36 + 16 + 28;

constexpr Admission::Decision served_as(Treatment treatment) {
  return {true, treatment, FrameVerdict::pass_other};
}
constexpr Admission::Decision refused_for(FrameVerdict why) { return {false, Treatment::serve, why}; }

}  // namespace

Admission::Admission(std::uint32_t sources, const SourceLimit::Seed& seed, std::uint64_t tsc_hz)
    : limit_(sources, seed), tsc_hz_(tsc_hz), chance_((seed[0] * 0x2545f4914f6cdd1d ^ seed[1]) | 1) {}

void Admission::set(const Service& service) noexcept {
  const shm::RateLimit& limit = service.rate_limit();
  limit_.set_policy({limit.requests_per_s, limit.burst, limit.network_factor}, tsc_hz_);
  kisses_.set(limit.kisses_per_s, tsc_hz_);
  leak_ = limit.leak;
  kisses_refused_ = service.kisses_refused();
  kisses_limited_ = service.kisses_limited();
  access_ = &service.access();
  is_open_ = access_->is_empty() && !limit_.is_on();
}

Admission::Decision Admission::judge(const std::uint8_t* source, bool is_ipv6, std::uint16_t request_bytes,
                                     std::uint64_t now_tsc) noexcept {
  Treatment treatment = Treatment::serve;
  if (!access_->is_empty()) {
    switch (is_ipv6 ? access_->of_ipv6(source) : access_->of_ipv4(source)) {
      case Access::deny:
        return kisses_refused_ ? served_as(Treatment::kiss_deny) : refused_for(FrameVerdict::drop_denied);
      case Access::require_nts:
        treatment = kisses_refused_ ? Treatment::nts_only_or_kiss_deny : Treatment::nts_only;
        break;
      case Access::allow:
        break;
    }
  }
  if (!limit_.is_on()) return served_as(treatment);
  const bool may_be_nts = request_bytes >= nts_request_bytes_min;
  const bool has_allowance =
      is_ipv6 ? limit_.take_ipv6(source, may_be_nts, now_tsc) : limit_.take_ipv4(source, may_be_nts, now_tsc);
  if (has_allowance || leaks()) return served_as(treatment);
  // A client of NTS believes no kiss without a seal, and a seal is the work that the limit spares us.
  if (kisses_limited_ && !may_be_nts) return served_as(Treatment::kiss_rate);
  return refused_for(FrameVerdict::drop_rate_limited);
}

// Without it, whoever forges a client's address could keep the client from ever being answered.
bool Admission::leaks() noexcept {
  if (leak_ == 0) return false;
  chance_ ^= chance_ << 13;
  chance_ ^= chance_ >> 7;
  chance_ ^= chance_ << 17;
  return (chance_ >> 32) % leak_ == 0;
}

}  // namespace dataplane
