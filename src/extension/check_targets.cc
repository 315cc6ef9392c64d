#include "extension/check.h"

namespace pgcleanup {

void check_targets(pg::Spi& /*spi*/, const std::vector<PolicyStats>& /*policies*/, CheckReport& /*report*/) {}

} // namespace pgcleanup
