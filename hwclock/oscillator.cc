#include "hwclock/oscillator.h"

namespace hwclock {

double phase_after(const Motion& motion, double seconds) noexcept {
  return motion.phase_ns + seconds * (motion.rate_ppb + 0.5 * seconds * motion.drift_ppb_s);
}

void advance(Motion& motion, Covariance& covariance, double seconds, const OscillatorNoise& noise) noexcept {
  const double t = seconds;
  const double half = 0.5 * t * t;
  motion.phase_ns = phase_after(motion, t);
  motion.rate_ppb += t * motion.drift_ppb_s;

  const Covariance before = covariance;
  const double walk_drift = noise.walk_drift;
  covariance.pp = phase_variance_after(before, t, noise);
  covariance.pr = before.pr + t * before.rr + half * before.rd +
                  t * (before.pd + t * before.rd + half * before.dd) + half * noise.walk_fm +
                  0.5 * half * half * walk_drift;
  covariance.pd = before.pd + t * before.rd + half * before.dd + half * t / 3.0 * walk_drift;
  covariance.rr =
      before.rr + 2.0 * t * before.rd + t * t * before.dd + t * noise.walk_fm + t * t * t / 3.0 * walk_drift;
  covariance.rd = before.rd + t * before.dd + half * walk_drift;
  covariance.dd = before.dd + t * walk_drift;
}

void absorb(Motion& motion, Covariance& covariance, double innovation_ns, double variance) noexcept {
  const Covariance before = covariance;
  const double total = before.pp + variance;
  const double p = before.pp / total;
  const double r = before.pr / total;
  const double d = before.pd / total;
  motion.phase_ns += p * innovation_ns;
  motion.rate_ppb += r * innovation_ns;
  motion.drift_ppb_s += d * innovation_ns;

  // (I - KH) P (I - KH)^T + K R K^T, written out for H = (1 0 0).
  const double rest = variance / total;
  covariance.pp = rest * rest * before.pp + p * p * variance;
  covariance.pr = rest * (before.pr - r * before.pp) + p * r * variance;
  covariance.pd = rest * (before.pd - d * before.pp) + p * d * variance;
  covariance.rr = before.rr - 2.0 * r * before.pr + r * r * total;
  covariance.rd = before.rd - r * before.pd - d * before.pr + r * d * total;
  covariance.dd = before.dd - 2.0 * d * before.pd + d * d * total;
}

}  // namespace hwclock
