// The values of [gnss]: pulse inputs, speeds of serial lines, delays.
#pragma once

#include "control/config_value.h"

namespace control {

[[nodiscard]] std::int32_t read_signed(const ConfigValue& value, std::int32_t lowest, std::int32_t highest);

// A speed that serial lines have.
[[nodiscard]] std::uint32_t read_baud(const ConfigValue& value);

// "pps:/dev/pps0", "pps-clear:/dev/pps0", "sock:/path", "shm:UNIT", "phc-tai:/dev/ptp0", "phc-utc:/dev/ptp0"
// "extts:/dev/ptp0:PIN:CHANNEL" or "extts-falling:" likewise, "gpsd" or "gpsd-messages".
[[nodiscard]] PulseInput read_pulse_input(const ConfigValue& value);

// "127.0.0.1", "127.0.0.1:2947" or "[::1]:2947".
[[nodiscard]] GpsdAddress read_gpsd_address(const ConfigValue& value);

// What [gnss] says of gpsd, as a whole. Throws ConfigError.
void require_gpsd_agrees(const Config& config, const std::string& file);

// What is usual where nobody measured it: how unsteady a pulse of this input is, and what may be wrong with
// it all the time.
struct UsualPulse {
  double sigma_ns;
  double error_ns;
};
[[nodiscard]] UsualPulse usual_of(PulseKind kind) noexcept;

// One to four characters, as "GPS" or "GAL" (RFC 5905 section 7.3: left-justified, padded with zeros).
[[nodiscard]] std::string read_gnss_reference_id(const ConfigValue& value);

}  // namespace control
