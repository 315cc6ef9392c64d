// Whether looking up rows by some columns has an index.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

// The leaf tables of `table` without a usable index that these columns (unquoted names) lead, in any order; a partial
// index serves when it only leaves out NULLs. Reads catalogs only.
std::vector<Oid> leaves_without_index(Oid table, std::span<const std::string> columns);

} // namespace pgcleanup
