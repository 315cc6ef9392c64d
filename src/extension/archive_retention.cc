#include "extension/archive_retention.h"

#include "extension/archive_registry.h"
#include "extension/archive_table.h"
#include "extension/leaf_run.h"
#include "extension/policy_state.h"
#include "extension/row_width.h"
#include "extension/settings.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::concat;
using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

// The policy that an archive would have if it had one: so its rows go as all others do.
Policy policy_of_archive(const Policy& policy, const ArchiveEntry& entry)
{
    Policy of_archive;
    of_archive.name = policy.name;
    of_archive.target = entry.archive;
    of_archive.target_name = pg::relation_name(entry.archive);
    of_archive.age_column = archived_at_column;
    of_archive.retain = policy.archive_retain;
    of_archive.condition = concat("(target.", policy_id_column, " = ", policy.id, ")");
    of_archive.archive_retain.reset();
    of_archive.batch_size = policy.batch_size;
    of_archive.time_zone = policy.time_zone;
    of_archive.created_by = policy.created_by;
    of_archive.revision = policy.revision;
    return of_archive;
}

class ArchiveRetention {
public:
    ArchiveRetention(const OwnerSession& session, const TaskChannel& channel, const Policy& of_archive,
                     std::int64_t policy_id, const pg::Extension& extension)
        : session_(session), channel_(channel), request_(channel.state().request), policy_(of_archive),
          record_(extension, request_.run_id, request_.requested_by, named(of_archive, policy_id), RecordKind::archive),
          lock_timeout_(request_.lock_timeout_ms)
    {
    }

    void execute()
    {
        std::string status = "succeeded";
        std::string message;
        in_transaction([this] { record_.begin(); });
        record_.committed();
        try {
            remove();
        } catch (const RunStopped& stopped) {
            record_.rolled_back();
            status = stopped.status;
            message = stopped.message;
        } catch (const LeafGone&) {
            record_.rolled_back();
        } catch (const pg::PgError& error) {
            record_.rolled_back();
            pg::log_error(LOG, concat("pg_cleanup run ", request_.run_id, ", archive ", policy_.target_name, ": "),
                          error);
            status = error.is_cancel() ? "cancelled" : "failed";
            message = error.fields().message;
        }
        if (status == "succeeded" && skipped_.total() > 0)
            status = "partial";
        const std::vector<SkippedRows> skipped = skipped_.list();
        in_transaction([&] { record_.finish(status, message, skipped, {}); });
    }

private:
    // Relations are the policy's, not the archive's: only the record knows the policy by its number.
    static Policy named(Policy policy, std::int64_t id)
    {
        policy.id = id;
        return policy;
    }

    template <class Work>
    void in_transaction(Work&& work)
    {
        OwnerTransaction transaction(session_, lock_timeout_);
        work();
        transaction.commit();
    }

    void remove()
    {
        std::optional<Eligibility> eligibility;
        std::vector<LeafPlan> plans;
        std::string fingerprint_now;
        double row_width = 0;
        std::optional<FamilyLinks> links;
        in_transaction([&] {
            check_owner(session_, policy_);
            const std::optional<TimestampTz> cutoff = cutoff_at(policy_, request_.start, std::nullopt);
            eligibility.emplace(policy_, AgeWindow{*cutoff, {}, {}});
            fingerprint_now = fingerprint(policy_);
            const std::vector<Oid> tables = leaf_tables(policy_.target);
            links.emplace(policy_, session_.owner);
            plans = plan_leaves(*eligibility, tables);
            pg::Spi spi;
            row_width = average_row_bytes(spi, policy_.target);
        });
        in_transaction([&] {
            record_.set_cutoff(cutoff_at(policy_, request_.start, std::nullopt));
            std::int64_t units = 0;
            for (const LeafPlan& plan : plans)
                units += plan.units;
            record_.set_plan(strategy_name(false, plans), units,
                             plans.front().strategy == Strategy::block ? "block" : "row");
        });
        record_.committed();
        RunLimits limits;
        if (request_.max_microseconds.is_set)
            limits.stop_at =
                pg::elapsed_clock() + microseconds(request_.start + request_.max_microseconds.value - pg::now());
        limits.failing_rows_left = static_cast<std::int32_t>(max_failing_rows());
        FamilyNotes notes;
        const RunContext context{request_,      channel_.state(), session_, policy_, fingerprint_now, watch_, record_,
                                 lock_timeout_, row_width,        *links,   notes};
        for (const LeafPlan& plan : plans) {
            std::optional<LeafRun> run;
            in_transaction([&] { run.emplace(context, *eligibility, plan.leaf, limits, skipped_); });
            run->walk(plan.strategy);
            run->finish(true);
        }
    }

    const OwnerSession& session_;
    const TaskChannel& channel_;
    const TaskRequest request_;
    const Policy policy_;
    DefinitionWatch watch_;
    RunRecord record_;
    SkippedReasons skipped_;
    milliseconds lock_timeout_;
};

} // namespace

void remove_expired_archived_rows(const OwnerSession& session, const TaskChannel& channel, const Policy& policy)
{
    if (!policy.archive_retain)
        return;
    std::vector<Policy> of_archives;
    pg::Extension extension;
    {
        pg::WorkerTransaction transaction;
        extension = pg::extension();
        {
            pg::Spi spi;
            for (const ArchiveEntry& entry : archives_of_policy(spi, extension, policy.id)) {
                if (OidIsValid(entry.archive))
                    of_archives.push_back(policy_of_archive(policy, entry));
            }
        }
        transaction.commit();
    }
    // The same archive of a table that was made anew is registered twice.
    std::ranges::sort(of_archives, {}, &Policy::target);
    const auto is_same = [](const Policy& left, const Policy& right) { return left.target == right.target; };
    of_archives.erase(std::unique(of_archives.begin(), of_archives.end(), is_same), of_archives.end());
    for (const Policy& of_archive : of_archives)
        ArchiveRetention(session, channel, of_archive, policy.id, extension).execute();
}

} // namespace pgcleanup
