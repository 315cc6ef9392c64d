#include "pg/live_rows.h"

#include "pg/transaction.h"

extern "C" {
#include "access/visibilitymap.h"
}

namespace pgcleanup::pg {

namespace {

constexpr BlockNumber most_ranges = 8'192;
// How many blocks are read between two looks at the clock.
constexpr BlockNumber blocks_per_look_at_clock = 64;
// How many are read at a time: 8 MB.
constexpr BlockNumber blocks_per_part = 1024;

struct Count {
    std::int64_t rows;
    bool settled;
};

// As VACUUM judges rows: live, dead, or in the hands of a running transaction.
bool pg_is_live(HeapTuple tuple, Buffer buffer, bool* settled)
{
    TransactionId dead_after = InvalidTransactionId;
    switch (HeapTupleSatisfiesVacuumHorizon(tuple, buffer, &dead_after)) {
    case HEAPTUPLE_LIVE:
        return true;
    case HEAPTUPLE_INSERT_IN_PROGRESS:
    case HEAPTUPLE_DELETE_IN_PROGRESS:
        *settled = false;
        return true;
    default:
        return false;
    }
}

void pg_count_locked_block(Relation relation, BlockNumber block, Buffer buffer, Count* count)
{
    Page page = BufferGetPage(buffer);
    const bool all_visible = PageIsAllVisible(page);
    const OffsetNumber last = PageGetMaxOffsetNumber(page);
    for (OffsetNumber n = FirstOffsetNumber; n <= last; ++n) {
        ItemId item = PageGetItemId(page, n);
        if (!ItemIdIsNormal(item))
            continue;
        HeapTupleData tuple;
        tuple.t_tableOid = RelationGetRelid(relation);
        tuple.t_data = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, item));
        tuple.t_len = ItemIdGetLength(item);
        ItemPointerSet(&tuple.t_self, block, n);
        if (all_visible || pg_is_live(&tuple, buffer, &count->settled))
            ++count->rows;
    }
}

void pg_count_block(Relation relation, BlockNumber block, BufferAccessStrategy strategy, Count* count)
{
    CHECK_FOR_INTERRUPTS();
    const Buffer buffer = ReadBufferExtended(relation, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    pg_count_locked_block(relation, block, buffer, count);
    UnlockReleaseBuffer(buffer);
}

// Whether it may have changed after `since`.
bool pg_is_newer(Relation relation, BlockNumber block, BufferAccessStrategy strategy, XLogRecPtr since)
{
    if (!RelationIsPermanent(relation))
        return true; // its blocks have no WAL position
    const Buffer buffer = ReadBufferExtended(relation, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
    const bool newer = BufferGetLSNAtomic(buffer) > since;
    ReleaseBuffer(buffer);
    return newer;
}

// As sequential scans do: what is large must not push everything else out of the buffers.
BufferAccessStrategy pg_strategy(BlockNumber blocks)
{
    return blocks > static_cast<BlockNumber>(NBuffers) / 4 ? GetAccessStrategy(BAS_BULKREAD) : nullptr;
}

void pg_release(Buffer map, BufferAccessStrategy strategy)
{
    if (BufferIsValid(map))
        ReleaseBuffer(map);
    if (strategy != nullptr)
        FreeAccessStrategy(strategy);
}

class Clock {
public:
    explicit Clock(std::chrono::microseconds end) : end_(end) {}
    bool is_late() { return ++calls_ % blocks_per_look_at_clock == 0 && elapsed_clock() >= end_; }

private:
    std::chrono::microseconds end_;
    BlockNumber calls_ = 0;
};

} // namespace

bool LiveRows::look(const std::function<bool()>& may_go_on)
{
    since_ = GetXLogInsertRecPtr(); // before the first block is read
    pg_call([this] {
        Relation relation = table_open(table_, NoLock);
        blocks_ = RelationGetNumberOfBlocks(relation);
        visibilitymap_count(relation, &visible_blocks_, nullptr);
        table_close(relation, NoLock);
    });
    range_blocks_ = blocks_ / most_ranges + 1;
    ranges_.assign(blocks_ / range_blocks_ + 1, {0, true, true});
    for (BlockNumber begin = 0; begin < blocks_; begin += blocks_per_part) {
        if (!may_go_on())
            return false;
        pg_call([&] { pg_look_at(begin, std::min(blocks_, begin + blocks_per_part)); });
    }
    return true;
}

void LiveRows::pg_look_at(BlockNumber begin, BlockNumber end)
{
    Relation relation = table_open(table_, NoLock);
    BufferAccessStrategy strategy = pg_strategy(blocks_);
    Buffer map = InvalidBuffer;
    for (BlockNumber block = begin; block < end; ++block) {
        Range* range = ranges_.data() + block / range_blocks_;
        Count count{0, true};
        pg_count_block(relation, block, strategy, &count);
        range->rows += count.rows;
        range->settled = range->settled && count.settled;
        range->visible = range->visible && VM_ALL_VISIBLE(relation, block, &map);
    }
    pg_release(map, strategy);
    table_close(relation, NoLock);
}

// What one settle() works with.
struct LiveRows::Settling {
    explicit Settling(std::chrono::microseconds give_up_at) : clock(give_up_at) {}

    Clock clock;
    Relation relation = nullptr;
    BufferAccessStrategy strategy = nullptr;
    Buffer map = InvalidBuffer;
    BlockNumber visible_blocks = 0;
    std::int64_t rows = 0;
    bool changed = false;
    bool late = false;
};

bool LiveRows::pg_is_same(Settling* now, const Range& range, BlockNumber begin, BlockNumber end) const
{
    if (range.visible && now->visible_blocks == visible_blocks_)
        return true;
    for (BlockNumber block = begin; block < end && !now->late; ++block) {
        now->late = now->clock.is_late();
        if (VM_ALL_VISIBLE(now->relation, block, &now->map))
            continue;
        if (!range.settled || pg_is_newer(now->relation, block, now->strategy, since_))
            return false;
    }
    return true;
}

void LiveRows::pg_settle_range(Settling* now, BlockNumber begin, BlockNumber end) const
{
    const Range* range = end <= blocks_ ? ranges_.data() + begin / range_blocks_ : nullptr;
    if (range != nullptr && pg_is_same(now, *range, begin, end)) {
        now->rows += range->rows;
        return;
    }
    now->changed = true;
    Count count{0, true};
    for (BlockNumber block = begin; block < end && !now->late; ++block) {
        now->late = now->clock.is_late();
        pg_count_block(now->relation, block, now->strategy, &count);
    }
    now->rows += count.rows;
}

std::optional<std::int64_t> LiveRows::settle(std::chrono::microseconds give_up_at)
{
    Settling now(give_up_at);
    pg_call([&] {
        now.relation = table_open(table_, NoLock);
        // Blocks are only ever taken away by VACUUM and TRUNCATE, which a lock keeps out: no row is forgotten.
        const BlockNumber blocks = RelationGetNumberOfBlocks(now.relation);
        visibilitymap_count(now.relation, &now.visible_blocks, nullptr);
        now.strategy = pg_strategy(blocks);
        for (BlockNumber begin = 0; begin < blocks && !now.late; begin += range_blocks_)
            pg_settle_range(&now, begin, std::min(blocks, begin + range_blocks_));
        pg_release(now.map, now.strategy);
        table_close(now.relation, NoLock);
    });
    changed_ = now.changed;
    if (now.late)
        return std::nullopt;
    return now.rows;
}

} // namespace pgcleanup::pg
