#include "extension/restore_run.h"

#include "core/backoff.h"
#include "core/restore_order.h"
#include "extension/batch.h"
#include "extension/definition_watch.h"
#include "extension/expression.h"
#include "extension/restore_record.h"
#include "extension/settings.h"
#include "extension/skipped.h"
#include "extension/target.h"
#include "pg/subtransaction.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::concat;
using std::chrono::milliseconds;

namespace {

// Blocks of an archive whose rows, with all that belongs to them, make up one transaction. Each looks through all
// archives for what belongs to its rows: so many times that this costs little beside the work itself, as long as the
// application does not wait too long for what a transaction locks.
constexpr std::uint32_t least_blocks = 64;
constexpr std::uint32_t most_blocks = 256;
constexpr std::uint32_t most_looks = 64;

bool is_large(const core::BlockRange& blocks)
{
    return blocks.end - blocks.begin > least_blocks;
}

constexpr int lock_attempts = 8;
constexpr milliseconds lock_pause{100};
constexpr milliseconds longest_lock_pause{2000};

constexpr const char* needs_a_row_that_stays = "it references a row that stays in the archive";
constexpr const char* reference_has_changed =
    "the row or its reference is gone, or what that was set to has changed since";

struct Conflict {
    ArchivedRow row;
    std::string reason;   // for the caller
    std::string recorded; // for the audit, which stays: without what is in the row
};

// What one transaction did.
struct BatchOfRestore {
    std::vector<RestoredRows> tables;
    std::vector<Conflict> conflicts;
};

// Errors that say something about a row, and not about the whole.
bool is_of_a_row(const pg::PgError& error)
{
    switch (ERRCODE_TO_CATEGORY(error.sqlstate())) {
    case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
    case ERRCODE_DATA_EXCEPTION:
    case ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION:
    case ERRCODE_WITH_CHECK_OPTION_VIOLATION:
    case ERRCODE_PLPGSQL_ERROR:
        return true;
    default:
        return false;
    }
}

// The details of other errors print the row ("Failing row contains ..."), which whoever may restore may not have the
// right to read.
bool names_only_a_key(const pg::PgError& error)
{
    return error.sqlstate() == ERRCODE_UNIQUE_VIOLATION || error.sqlstate() == ERRCODE_FOREIGN_KEY_VIOLATION ||
           error.sqlstate() == ERRCODE_EXCLUSION_VIOLATION;
}

std::string reason_of(const pg::PgError& error)
{
    const pg::ErrorFields& fields = error.fields();
    return fields.detail.empty() || !names_only_a_key(error) ? fields.message
                                                             : concat(fields.message, ": ", fields.detail);
}

// Puts back as much of a family as can be, by halving: in an order in which each row comes after what it needs.
class FamilyRestore {
public:
    // All or nothing: with `is_whole` what some row raises is raised.
    FamilyRestore(const RestoreRows& rows, const ArchivedFamily& family, std::size_t tables, bool is_whole)
        : rows_(rows), family_(family), is_whole_(is_whole),
          groups_(core::restore_order(family.rows.size(), family.needs)), stays_(family.rows.size()),
          needs_(family.rows.size())
    {
        done_.tables.resize(tables);
        for (const auto& [row, other] : family.needs)
            needs_[row].push_back(other);
        for (std::size_t row = 0; row < family.rows.size(); ++row)
            stays_[row] = !family.rows[row].in_scope;
    }

    BatchOfRestore run()
    {
        attempt(0, groups_.size());
        return std::move(done_);
    }

private:
    void attempt(std::size_t begin, std::size_t end)
    {
        std::vector<ArchivedRow> deleted;
        std::vector<std::size_t> images;
        for (std::size_t group = begin; group < end; ++group)
            choose(groups_[group], deleted, images);
        if (deleted.empty() && images.empty())
            return;
        std::vector<ArchivedRow> reset;
        const std::optional<pg::PgError> error = pg::try_in_subtransaction([&] {
            pg::Spi spi;
            if (!deleted.empty())
                rows_.put_back(spi, deleted);
            if (!images.empty())
                reset = rows_.reset_references(spi, rows_of(images));
            spi.run("SET CONSTRAINTS ALL IMMEDIATE");
        });
        if (!error) {
            count(deleted, images, reset);
            return;
        }
        if (is_whole_ || !is_of_a_row(*error))
            throw pg::PgError(*error);
        pg::check_for_interrupts();
        if (end - begin == 1) {
            fail(groups_[begin], reason_of(*error), error->fields().message);
            return;
        }
        const std::size_t middle = begin + (end - begin) / 2;
        attempt(begin, middle);
        attempt(middle, end);
    }

    // What needs a row that stays is not tried.
    void choose(const std::vector<std::size_t>& group, std::vector<ArchivedRow>& deleted,
                std::vector<std::size_t>& images)
    {
        const bool lacks_something = std::ranges::any_of(group, [&](std::size_t row) {
            return std::ranges::any_of(needs_[row], [&](std::size_t other) { return stays_[other]; });
        });
        if (lacks_something)
            fail(group, needs_a_row_that_stays, needs_a_row_that_stays);
        for (const std::size_t row : group) {
            if (stays_[row])
                continue;
            if (family_.rows[row].is_image)
                images.push_back(row);
            else
                deleted.push_back(family_.rows[row]);
        }
    }

    void fail(const std::vector<std::size_t>& group, const std::string& reason, const std::string& recorded)
    {
        for (const std::size_t row : group) {
            if (stays_[row])
                continue;
            stays_[row] = true;
            if (!family_.rows[row].is_wanted)
                continue;
            done_.conflicts.push_back({family_.rows[row], reason, recorded});
            ++done_.tables[family_.rows[row].table].conflicts;
        }
    }

    std::vector<ArchivedRow> rows_of(const std::vector<std::size_t>& numbers) const
    {
        std::vector<ArchivedRow> rows;
        rows.reserve(numbers.size());
        for (const std::size_t number : numbers)
            rows.push_back(family_.rows[number]);
        return rows;
    }

    void count(const std::vector<ArchivedRow>& deleted, const std::vector<std::size_t>& images,
               const std::vector<ArchivedRow>& reset)
    {
        for (const ArchivedRow& row : deleted)
            ++done_.tables[row.table].rows;
        for (const ArchivedRow& row : reset)
            ++done_.tables[row.table].reset_references;
        std::set<std::pair<std::size_t, std::pair<BlockNumber, OffsetNumber>>> were_reset;
        const auto identity = [](const ArchivedRow& row) {
            return std::pair(row.table,
                             std::pair(ItemPointerGetBlockNumber(&row.row), ItemPointerGetOffsetNumber(&row.row)));
        };
        for (const ArchivedRow& row : reset)
            were_reset.insert(identity(row));
        for (const std::size_t image : images) {
            if (!were_reset.contains(identity(family_.rows[image])))
                fail({image}, reference_has_changed, reference_has_changed);
        }
    }

    const RestoreRows& rows_;
    const ArchivedFamily& family_;
    bool is_whole_;
    std::vector<std::vector<std::size_t>> groups_;
    std::vector<bool> stays_;
    std::vector<std::vector<std::size_t>> needs_;
    BatchOfRestore done_;
};

class RestoreRun {
public:
    RestoreRun(const OwnerSession& session, const TaskChannel& channel, const Policy& policy, TaskReply& reply)
        : session_(session), channel_(channel), request_(channel.state().request), policy_(policy), reply_(reply),
          record_(extension(), request_.run_id, request_.requested_by, policy), lock_timeout_(request_.lock_timeout_ms)
    {
    }

    void execute();

private:
    static pg::Extension extension()
    {
        pg::WorkerTransaction transaction;
        pg::Extension found = pg::extension();
        transaction.commit();
        return found;
    }

    template <class Work>
    auto in_transaction(Work&& work)
    {
        OwnerTransaction transaction(session_, lock_timeout_);
        if constexpr (std::is_void_v<decltype(work())>) {
            work();
            transaction.commit();
        } else {
            auto result = work();
            transaction.commit();
            return result;
        }
    }

    void prepare();
    void enter();
    void restore_table(std::size_t table);
    void restore_blocks(std::size_t table, core::BlockRange blocks);
    BatchOfRestore carry_out(std::size_t table, core::BlockRange blocks);
    void report(const BatchOfRestore& done, const std::vector<std::string>& keys);
    void check_bounds() const;
    void finish(const std::string& status, const std::string& message);
    pg::Cell run_id_cell() const { return std::to_string(request_.run_id); }
    bool is_known_conflict(const ArchivedRow& row) const { return conflicts_.contains({row.table, row.row}); }

    struct ArchivedRowLess {
        bool operator()(const std::pair<std::size_t, ItemPointerData>& left,
                        const std::pair<std::size_t, ItemPointerData>& right) const
        {
            return left.first != right.first ? left.first < right.first : row_id_less(left.second, right.second);
        }
    };

    const OwnerSession& session_;
    const TaskChannel& channel_;
    const TaskRequest request_;
    const Policy& policy_;
    TaskReply& reply_;
    RestoreRecord record_;
    milliseconds lock_timeout_;
    DefinitionWatch watch_;
    std::optional<RestoreRows> rows_;
    std::uint32_t blocks_a_batch_ = least_blocks;
    std::vector<RestoredRows> totals_;
    std::vector<std::string> last_keys_; // of the conflicts of the batch that was carried out last
    SkippedReasons reasons_;
    std::set<std::pair<std::size_t, ItemPointerData>, ArchivedRowLess> conflicts_;
};

void RestoreRun::prepare()
{
    check_owner(session_, policy_);
    const RestoreScope scope = restore_scope(request_, policy_.id);
    if (request_.has_condition)
        verify_condition_under_current_path(policy_.target, scope.condition);
    pg::Spi spi;
    std::vector<RestoreTable> tables = restore_tables(spi, pg::extension(), policy_);
    std::vector<RestoreEdge> edges = restore_edges(policy_, tables);
    std::erase_if(edges, [&](const RestoreEdge& edge) {
        return edge.kind == RestoreEdge::Kind::image && !has_images(spi, tables[edge.child], scope);
    });
    std::uint64_t blocks = 0;
    for (const RestoreTable& table : tables)
        blocks += block_count(table.archive);
    blocks_a_batch_ =
        static_cast<std::uint32_t>(std::clamp<std::uint64_t>(blocks / most_looks, least_blocks, most_blocks));
    totals_.resize(tables.size());
    rows_.emplace(std::move(tables), std::move(edges), scope);
}

// Everything is known by name: a table that was renamed, or another one in its place, must not get its rows.
void RestoreRun::enter()
{
    rows_->lock();
    if (!watch_.changed())
        return;
    const std::vector<RestoreTable> before = rows_->tables();
    try {
        prepare();
    } catch (...) {
        watch_.suspect(); // not over: a lock timeout, say
        throw;
    }
    const auto is_same = [](const RestoreTable& one, const RestoreTable& other) {
        return one.archive == other.archive && one.source == other.source;
    };
    if (!std::ranges::equal(before, rows_->tables(), is_same))
        throw RunStopped{"partial", "stopped: which archives the policy has was changed meanwhile; restore again"};
}

void RestoreRun::check_bounds() const
{
    pg::check_for_interrupts();
    if (pg_atomic_read_u32(&channel_.state().cancel_requested) != 0)
        throw RunStopped{"cancelled", "cancelled by request"};
    if (static_cast<std::int64_t>(conflicts_.size()) > max_failing_rows())
        throw RunStopped{"partial", "stopped: too many rows cannot be restored (pg_cleanup.max_failing_rows)"};
}

BatchOfRestore RestoreRun::carry_out(std::size_t table, core::BlockRange blocks)
{
    std::vector<std::string> keys;
    BatchOfRestore done = in_transaction([&] {
        ArchivedFamily family;
        {
            enter();
            pg::Spi spi;
            std::vector<ArchivedRow> seeds = rows_->seeds(spi, table, blocks);
            std::erase_if(seeds, [this](const ArchivedRow& row) { return is_known_conflict(row); });
            family = rows_->gather(spi, seeds);
        }
        if (family.rows.empty())
            return BatchOfRestore();
        BatchOfRestore result = FamilyRestore(*rows_, family, totals_.size(), is_large(blocks)).run();
        // What stays was found before, perhaps: it belongs to rows of several batches.
        std::erase_if(result.conflicts, [&](const Conflict& conflict) {
            if (!is_known_conflict(conflict.row))
                return false;
            --result.tables[conflict.row.table].conflicts;
            return true;
        });
        {
            pg::Spi spi;
            for (const Conflict& conflict : result.conflicts)
                keys.push_back(rows_->key(spi, conflict.row));
        }
        watch_.check_schemas();
        for (std::size_t n = 0; n < result.tables.size(); ++n) {
            const RestoredRows& part = result.tables[n];
            if (part.rows + part.reset_references + part.conflicts > 0)
                record_.add(rows_->tables()[n].source_name, part);
        }
        return result;
    });
    last_keys_ = std::move(keys);
    return done;
}

void RestoreRun::report(const BatchOfRestore& done, const std::vector<std::string>& keys)
{
    for (std::size_t n = 0; n < done.tables.size(); ++n) {
        totals_[n].rows += done.tables[n].rows;
        totals_[n].reset_references += done.tables[n].reset_references;
        totals_[n].conflicts += done.tables[n].conflicts;
    }
    for (std::size_t n = 0; n < done.conflicts.size(); ++n) {
        const Conflict& conflict = done.conflicts[n];
        conflicts_.insert({conflict.row.table, conflict.row.row});
        // Without a primary key it is the whole row.
        const bool is_a_key = !rows_->tables()[conflict.row.table].key.empty();
        reasons_.add(conflict.recorded, 1, std::span(&keys[n], is_a_key ? 1 : 0));
        reply_.row({run_id_cell(), policy_.name, std::to_string(rows_->tables()[conflict.row.table].source), "conflict",
                    "0", "0", "1", keys[n], conflict.reason});
    }
}

void RestoreRun::restore_blocks(std::size_t table, core::BlockRange blocks)
{
    core::Backoff backoff(lock_pause, longest_lock_pause, lock_attempts);
    for (;;) {
        check_bounds();
        try {
            const BatchOfRestore done = carry_out(table, blocks);
            if (!done.tables.empty())
                report(done, last_keys_);
            return;
        } catch (const pg::PgError& error) {
            const bool is_lock = classify(error) == BatchFailure::lock;
            if (is_large(blocks) && (is_lock || is_of_a_row(error))) { // fewer rows, fewer locks and conflicts
                const std::uint32_t middle = blocks.begin + (blocks.end - blocks.begin) / 2;
                restore_blocks(table, {blocks.begin, middle});
                restore_blocks(table, {middle, blocks.end});
                return;
            }
            if (!is_lock)
                throw;
            const std::optional<milliseconds> pause = backoff.next();
            if (!pause)
                throw RunStopped{"partial", concat("stopped: another session keeps a lock that the restore needs; the "
                                                   "last error: ",
                                                   error.fields().message)};
            pg::wait_for_latch(*pause);
        }
    }
}

void RestoreRun::restore_table(std::size_t table)
{
    const Oid archive = rows_->tables()[table].archive;
    const std::uint32_t end = in_transaction([&] { return block_count(archive); });
    const std::uint32_t step = blocks_a_batch_;
    for (std::uint32_t begin = 0; begin < end; begin += step)
        restore_blocks(table, {begin, std::min(end, begin + step)});
}

void RestoreRun::finish(const std::string& status, const std::string& message)
{
    std::int64_t rows = 0;
    std::int64_t references = 0;
    for (const RestoredRows& total : totals_) {
        rows += total.rows;
        references += total.reset_references;
    }
    pg::JsonObject details;
    details.number("restored_run", request_.restored_run)
        .text("condition", request_.has_condition ? std::optional<std::string>(request_.condition) : std::nullopt)
        .number("reset_references", references);
    const std::vector<SkippedRows> conflicts = reasons_.list();
    in_transaction([&] {
        if (rows == 0 && references == 0 && conflicts.empty())
            record_.add(policy_.target_name, {});
        record_.finish(status, message, rows, conflicts, details);
    });
    if (totals_.empty()) // it did not come to the tables
        reply_.row({run_id_cell(), policy_.name, std::to_string(policy_.target), status, "0", "0", "0", std::nullopt,
                    message.empty() ? pg::Cell() : message});
    for (std::size_t n = 0; n < totals_.size(); ++n) {
        const RestoredRows& total = totals_[n];
        if (n > 0 && total.rows + total.reset_references + total.conflicts == 0)
            continue;
        reply_.row({run_id_cell(), policy_.name, std::to_string(rows_->tables()[n].source),
                    total.conflicts > 0 && status == "succeeded" ? "partial" : status, std::to_string(total.rows),
                    std::to_string(total.reset_references), std::to_string(total.conflicts), std::nullopt,
                    message.empty() ? pg::Cell() : message});
    }
}

void RestoreRun::execute()
{
    std::string status = "succeeded";
    std::string message;
    try {
        in_transaction([this] { prepare(); });
        // With a condition, what belongs to the rows that it chooses is found from there.
        for (std::size_t table = 0; table < rows_->tables().size(); ++table) {
            if (!request_.has_condition || rows_->tables()[table].source == policy_.target)
                restore_table(table);
        }
    } catch (const RunStopped& stopped) {
        status = stopped.status;
        message = stopped.message;
    } catch (const pg::PgError& error) {
        pg::log_error(LOG, concat("pg_cleanup restore ", request_.run_id, ", policy \"", policy_.name, "\": "), error);
        status = error.is_cancel() ? "cancelled" : "failed";
        message = failure_text(error);
    }
    if (status == "succeeded" && reasons_.total() > 0) {
        status = "partial";
        message = concat(reasons_.total(), reasons_.total() == 1 ? " row stays" : " rows stay", " in the archive");
    }
    finish(status, message);
}

} // namespace

RestoreScope restore_scope(const TaskRequest& request, std::int64_t policy_id)
{
    RestoreScope scope{request.restored_run, policy_id};
    if (request.has_condition)
        scope.condition = request.condition;
    return scope;
}

void restore_policy(const OwnerSession& session, const TaskChannel& channel, const Policy& policy, TaskReply& reply)
{
    RestoreRun(session, channel, policy, reply).execute();
}

} // namespace pgcleanup
