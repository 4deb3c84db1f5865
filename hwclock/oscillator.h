// What an oscillator does while nobody looks, and what a look teaches: a Kalman filter of three states.
//
// States: phase, rate and drift of the true time against ours. Noise: white and random-walk frequency, and a
// drift that wanders. Units are nanoseconds and seconds, so that no number here is very large or very small:
// 1 ns/s is 1 ppb. Rules: CLOCK.md section 2.2; Zucca and Tavella, "The clock model and its relationship with
// the Allan and related variances" (2005).
#pragma once

namespace hwclock {

// Spectral densities: variances a second.
struct OscillatorNoise {
  double white_fm = 0.0;    // ns^2 / s
  double walk_fm = 0.0;     // ppb^2 / s
  double walk_drift = 0.0;  // (ppb/s)^2 / s
};

struct Motion {
  double phase_ns = 0.0;
  double rate_ppb = 0.0;
  double drift_ppb_s = 0.0;  // change of rate a second
};

// The upper triangle of the symmetric matrix: p is phase, r rate, d drift.
struct Covariance {
  double pp = 0.0;
  double pr = 0.0;
  double pd = 0.0;
  double rr = 0.0;
  double rd = 0.0;
  double dd = 0.0;
};

// Moves a state `seconds` into the future. Nobody looks meanwhile, so the covariance grows.
void advance(Motion& motion, Covariance& covariance, double seconds, const OscillatorNoise& noise) noexcept;

// Takes a measurement that lies `innovation_ns` from the state's phase, with `variance` > 0. Joseph form: the
// covariance stays that of a real gain, whatever rounding did to it.
void absorb(Motion& motion, Covariance& covariance, double innovation_ns, double variance) noexcept;

// What advance() would make of the phase and of its variance, alone.
[[nodiscard]] double phase_after(const Motion& motion, double seconds) noexcept;
[[nodiscard]] inline double phase_variance_after(const Covariance& covariance, double seconds,
                                                 const OscillatorNoise& noise) noexcept {
  const double t = seconds;  // a polynomial in it, from the highest power down
  const double quartic = 0.25 * covariance.dd + t * (noise.walk_drift / 20.0);
  const double cubic = covariance.rd + noise.walk_fm / 3.0 + t * quartic;
  const double square = covariance.rr + covariance.pd + t * cubic;
  return covariance.pp + t * (2.0 * covariance.pr + noise.white_fm + t * square);
}

}  // namespace hwclock
