#include "pg/latest_versions.h"

extern "C" {
#include "access/tableam.h"
#include "utils/snapmgr.h"
}

namespace pgcleanup::pg {

void follow_to_latest_versions(Oid relation, std::span<ItemPointerData> rows)
{
    pg_call([&] {
        Relation table = table_open(relation, NoLock);
        Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
        TableScanDesc scan = table_beginscan_tid(table, snapshot);
        for (ItemPointerData& row : rows)
            table_tuple_get_latest_tid(scan, &row);
        table_endscan(scan);
        UnregisterSnapshot(snapshot);
        table_close(table, NoLock);
    });
}

} // namespace pgcleanup::pg
