#include "extension/row_ids.h"

#include "pg/latest_snapshot.h"

namespace pgcleanup {

bool row_id_less(const ItemPointerData& left, const ItemPointerData& right) noexcept
{
    const auto key = [](const ItemPointerData& id) {
        return std::pair(ItemPointerGetBlockNumberNoCheck(&id), ItemPointerGetOffsetNumberNoCheck(&id));
    };
    return key(left) < key(right);
}

bool RowIdCollector::pg_row(TupleTableSlot* slot)
{
    if (ids_.size() == ids_.capacity()) {
        overflowed_ = true;
        return false;
    }
    bool is_null = false;
    ids_.push_back(*reinterpret_cast<ItemPointer>(DatumGetPointer(slot_getattr(slot, 1, &is_null))));
    if (slot->tts_tupleDescriptor->natts < 2)
        return true;
    const Datum key = slot_getattr(slot, 2, &is_null);
    const FormData_pg_attribute* attribute = TupleDescAttr(slot->tts_tupleDescriptor, 1);
    key_by_value_ = attribute->attbyval;
    if (key_by_value_)
        key_ = key;
    else
        std::copy_n(DatumGetPointer(key), std::min(static_cast<std::size_t>(attribute->attlen), key_bytes_.size()),
                    key_bytes_.data());
    return true;
}

RowIds RowIdCollector::take_sorted()
{
    std::sort(ids_.begin(), ids_.end(), row_id_less);
    return std::move(ids_);
}

Datum row_id_array(std::span<const ItemPointerData> ids)
{
    std::vector<Datum> datums;
    datums.reserve(ids.size());
    for (const ItemPointerData& id : ids)
        datums.push_back(PointerGetDatum(&id));
    Datum* data = datums.data();
    const int count = static_cast<int>(datums.size());
    return pg::pg_call([&] {
        return PointerGetDatum(construct_array(data, count, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT));
    });
}

namespace {

enum class Version { given, latest };

RowIds rows_with(Version version, Oid table, const RowIds& rows)
{
    const pg::LatestSnapshot snapshot;
    std::vector<char> found(rows.size());
    pg::pg_call([&] {
        Relation relation = table_open(table, AccessShareLock);
        TableScanDesc scan = table_beginscan_tid(relation, GetActiveSnapshot());
        TupleTableSlot* slot = table_slot_create(relation, nullptr);
        for (std::size_t n = 0; n < found.size(); ++n) {
            ItemPointerData id = rows[n];
            if (version == Version::latest)
                table_tuple_get_latest_tid(scan, &id);
            found[n] = table_tuple_fetch_row_version(relation, &id, GetActiveSnapshot(), slot) ? 1 : 0;
            ExecClearTuple(slot);
        }
        ExecDropSingleTupleTableSlot(slot);
        table_endscan(scan);
        table_close(relation, AccessShareLock);
    });
    RowIds there;
    for (std::size_t n = 0; n < found.size(); ++n)
        if (found[n] != 0)
            there.push_back(rows[n]);
    return there;
}

} // namespace

RowIds rows_that_are_there(Oid table, const RowIds& rows)
{
    return rows_with(Version::latest, table, rows);
}

RowIds rows_that_are_unchanged(Oid table, const RowIds& rows)
{
    return rows_with(Version::given, table, rows);
}

} // namespace pgcleanup
