// Row ids (ctid) of one table, in bounded number.
#pragma once

#include "pg/spi.h"

namespace pgcleanup {

using RowIds = std::vector<ItemPointerData>;

// Whether one row id comes before another, in block order.
bool row_id_less(const ItemPointerData& left, const ItemPointerData& right) noexcept;

// Collects the first column (a ctid) of a statement's rows, and the last row's second column, up to a capacity that is
// allocated beforehand: nothing can throw while the executor runs.
class RowIdCollector : public pg::RowReceiver {
public:
    explicit RowIdCollector(std::size_t capacity) { ids_.reserve(capacity); }
    bool pg_row(TupleTableSlot* slot) override;

    // In block order, which makes deletes touch each page once.
    RowIds take_sorted();
    // True when rows were left because the capacity was used up.
    bool overflowed() const noexcept { return overflowed_; }
    // The second column of the last row; its bytes live as long as the collector. Types of at most 16 bytes.
    Datum last_key() const noexcept { return key_by_value_ ? key_ : PointerGetDatum(key_bytes_.data()); }

private:
    RowIds ids_;
    Datum key_ = 0;
    std::array<char, 16> key_bytes_{};
    bool key_by_value_ = true;
    bool overflowed_ = false;
};

// A tid[] of the ids, in the current memory context.
Datum row_id_array(std::span<const ItemPointerData> ids);

// Those of the rows that are there, as they were or as this transaction has changed them; not what is deleted. Takes
// ACCESS SHARE on the table. For rows that this transaction has locked or changed itself.
RowIds rows_that_are_there(Oid table, const RowIds& rows);
// Those of the rows that are there as they were. Takes ACCESS SHARE on the table.
RowIds rows_that_are_unchanged(Oid table, const RowIds& rows);

} // namespace pgcleanup
