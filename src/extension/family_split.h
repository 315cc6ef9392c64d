// Splits a family that is too large for one transaction: its dependent rows go first, the deepest ones before others.
#pragma once

#include "extension/family_gather.h"

namespace pgcleanup {

// Some dependent rows of the family of `root`, a locked row of `leaf`, with all that goes with them: at most
// `most_rows` rows, which may go before the rest. Nothing when there are none: everything that is left is too large, or
// may not go. In the transaction that deletes them, as FamilyGatherer::gather().
std::optional<Family> part_of_family(pg::Spi& spi, FamilyStatements& statements, const FamilyGatherer& gatherer,
                                     Oid leaf, const ItemPointerData& root, std::size_t most_rows);

// Whether nothing that stays references `root`, or what goes with it, as far as that is known beforehand: every row
// that could block it, and does not go with it, counts as one that stays.
bool is_unblocked(pg::Spi& spi, const FamilyLinks& links, Oid leaf, Oid owner, const ItemPointerData& root);

} // namespace pgcleanup
