// What a run of families would do to rows: the gathering and deciding of a run, without locks and with one snapshot,
// over all eligible rows.
#pragma once

#include "extension/due_rows.h"
#include "extension/family_gather.h"

namespace pgcleanup {

// How many different rows one link is the reason for: rows that go by it without being due themselves, rows that stay
// and are changed by it, or rows that stay and by it keep a row that would go.
using RowsOfLinks = std::vector<std::int64_t>; // an element for each of FamilyLinks::all()

enum class ForecastDetail { totals, links };

// Rows that go are remembered, so that the units of work that the rows are taken in do not show; compactly, a few bits
// a row. What a trigger would keep, and what a change of a key column would free, nobody knows beforehand.
class FamilyForecast {
public:
    // Does the work, inside an OwnerTransaction, with the active snapshot.
    FamilyForecast(pg::Spi& spi, const Eligibility& eligibility, const FamilyLinks& links, std::span<const Oid> leaves,
                   ForecastDetail detail);
    ~FamilyForecast();
    FamilyForecast(const FamilyForecast&) = delete;
    FamilyForecast& operator=(const FamilyForecast&) = delete;

    // Eligible rows that stay.
    std::int64_t blocked() const;
    // "constraint on table": how many of them it keeps.
    std::map<std::string, std::int64_t> blocked_by() const;
    // Rows that go or change, and are not due themselves.
    std::int64_t dependent() const;
    // With ForecastDetail::links only.
    RowsOfLinks rows_of_links() const;

private:
    class Work;
    std::unique_ptr<Work> work_;
};

} // namespace pgcleanup
