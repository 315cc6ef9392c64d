// In which order policies run.
#pragma once

#include "extension/policy.h"

namespace pgcleanup {

// Takes policies sorted by priority and name, and moves, among equal priorities, those whose target references
// another's by foreign keys (also through tables between them) before it: its rows then block nothing. Cycles stay in
// order of name.
void order_by_references(pg::Spi& spi, const pg::Extension& extension, std::vector<Policy>& policies);

} // namespace pgcleanup
