#include "extension/policy_run.h"

#include "extension/archive_retention.h"
#include "extension/archives.h"
#include "extension/expression.h"
#include "extension/leaf_run.h"
#include "extension/partition_removal.h"
#include "extension/policy_state.h"
#include "extension/row_width.h"
#include "extension/run_checks.h"
#include "extension/settings.h"
#include "extension/unindexed.h"

namespace pgcleanup {

using pg::concat;
using pg::pg_call;
using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

// What is fixed before the first batch.
struct RunPlan {
    AgeWindow window;
    std::optional<TimestampTz> cutoff;
    std::string fingerprint;
    double row_width = 0;
    std::optional<std::string> retain; // of this run
};

// What the policy needs while its leaf tables are worked on. Stays in its place: batches refer to it.
struct LeafWork {
    std::unique_ptr<Eligibility> eligibility;
    PartitionPlan partitions;
    std::vector<LeafPlan> leaves;
    std::optional<RowUpdate> update;
    std::optional<FamilyLinks> links;
    std::optional<Archives> archives;
};

struct Outcome {
    std::string status = "succeeded";
    std::string message;
};

class PolicyRun {
public:
    PolicyRun(const OwnerSession& session, const TaskChannel& channel, const Policy& policy)
        : session_(session), channel_(channel), request_(channel.state().request), policy_(policy),
          record_(pg_extension(), request_.run_id, request_.requested_by, policy),
          lock_timeout_(request_.lock_timeout_ms)
    {
    }

    // Returns the status that was recorded.
    std::string execute();

private:
    static pg::Extension pg_extension();
    RunPlan prepare();
    void check_ready() const;
    void check_guard() const;
    void check_breaker(const Eligibility& eligibility, std::span<const Oid> leaves) const;
    void check_references(const Eligibility& eligibility, std::span<const Oid> leaves) const;
    void plan_work(const RunPlan& plan, LeafWork& work);
    RunLimits limits() const;
    void run_leaves(const RunPlan& plan);
    void run_leaf(const RunContext& context, const Eligibility& eligibility, const LeafPlan& leaf, RunLimits& limits);
    std::unique_ptr<LeafRun> open_leaf(const RunContext& context, const Eligibility& eligibility, Oid leaf,
                                       RunLimits& limits);
    void remove_partitions(const RunContext& context, const Eligibility& eligibility,
                           std::span<const PartitionUnit> units, RunLimits& limits);
    void run_rows_of(const RunContext& context, const Eligibility& eligibility, const PartitionUnit& unit,
                     RunLimits& limits);
    void record_plan(const PartitionPlan& partitions, std::span<const LeafPlan> leaves);
    std::string notes() const;
    void begin_record();
    void finish_record(const Outcome& outcome);
    template <class Work>
    auto in_transaction(Work&& work);
    // The same for what comes before the batches: tries again while somebody has the table, or a partition, locked.
    template <class Work>
    auto patiently(Work&& work);

    const OwnerSession& session_;
    const TaskChannel& channel_;
    const TaskRequest request_;
    const Policy& policy_;
    DefinitionWatch watch_; // before anything is looked at, so that no change is missed
    RunRecord record_;
    SkippedReasons skipped_;
    FamilyNotes notes_;
    milliseconds lock_timeout_;
    std::int64_t gone_ = 0;                               // partitions that were detached or dropped meanwhile
    std::map<std::string, std::int64_t> kept_partitions_; // why they were not removed as a whole -> how many
};

// The extension as it is now; the worker's transactions are the caller's.
pg::Extension PolicyRun::pg_extension()
{
    pg::WorkerTransaction transaction;
    pg::Extension found = pg::extension();
    transaction.commit();
    return found;
}

template <class Work>
auto PolicyRun::in_transaction(Work&& work)
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

template <class Work>
auto PolicyRun::patiently(Work&& work)
{
    core::Backoff backoff = lock_backoff();
    for (;;) {
        try {
            return in_transaction(work);
        } catch (const pg::PgError& error) {
            record_.rolled_back();
            if (classify(error) != BatchFailure::lock)
                throw;
        }
        const std::optional<milliseconds> pause = backoff.next();
        if (!pause)
            throw RunStopped{"partial", concat("stopped: table ", policy_.target_name, " stayed locked")};
        pg::wait_for_latch(*pause);
    }
}

void PolicyRun::check_ready() const
{
    const PolicyState state = policy_state(policy_, true);
    if (state.condition != PolicyCondition::ready)
        throw RunStopped{"failed", concat("the policy is ", state_name(state.condition), ": ", state.reason)};
    check_owner(session_, policy_);
}

void PolicyRun::check_guard() const
{
    if (!policy_.guard)
        return;
    verify_guard_under_current_path(*policy_.guard);
    const GuardResult guard = evaluate_guard(*policy_.guard);
    if (!guard.is_true)
        throw RunStopped{"skipped", guard.reason};
}

void PolicyRun::check_breaker(const Eligibility& eligibility, std::span<const Oid> leaves) const
{
    if (request_.force)
        return;
    const std::optional<std::string> refusal = breaker_refusal(policy_, eligibility, leaves);
    if (refusal)
        throw RunStopped{"failed", *refusal};
}

void PolicyRun::check_references(const Eligibility& eligibility, std::span<const Oid> leaves) const
{
    if (updates_rows(policy_))
        return;
    std::optional<std::string> refusal = unindexed_refusal(policy_, cascade_from(policy_.target, std::nullopt));
    if (!refusal)
        refusal = reference_refusal(policy_, eligibility, leaves, session_.owner);
    if (refusal)
        throw RunStopped{"failed", *refusal};
}

RunPlan PolicyRun::prepare()
{
    RunPlan plan;
    check_ready();
    plan.cutoff = request_.as_of.get();
    if (!plan.cutoff)
        plan.cutoff = cutoff_at(policy_, request_.start, request_.retain_text());
    plan.retain = request_.retain_text() ? request_.retain_text() : policy_.retain;
    plan.window = {plan.cutoff.value_or(request_.start), request_.age_from.get(), request_.age_to.get()};
    if (!policy_.fingerprint) {
        // Restored from a dump before its table was there.
        pg::Spi spi;
        store_binding(spi, pg::extension(), policy_);
    }
    plan.fingerprint = fingerprint(policy_);
    {
        pg::Spi spi;
        plan.row_width = updates_rows(policy_) ? 0 : average_row_bytes(spi, policy_.target);
    }
    return plan;
}

std::unique_ptr<LeafRun> PolicyRun::open_leaf(const RunContext& context, const Eligibility& eligibility, Oid leaf,
                                              RunLimits& limits)
{
    return patiently([&] {
        pg_call([&] { LockRelationOid(leaf, AccessShareLock); });
        if (!is_leaf_of(leaf, policy_.target))
            throw LeafGone{};
        verify_meaning(policy_, leaf);
        return std::make_unique<LeafRun>(context, eligibility, leaf, limits, skipped_);
    });
}

void PolicyRun::run_leaf(const RunContext& context, const Eligibility& eligibility, const LeafPlan& leaf,
                         RunLimits& limits)
{
    const auto run = open_leaf(context, eligibility, leaf.leaf, limits);
    try {
        run->walk(leaf.strategy);
    } catch (const RunStopped& stopped) {
        if (stopped.status == "partial")
            run->finish(false);
        throw;
    }
    run->finish(true);
}

void PolicyRun::remove_partitions(const RunContext& context, const Eligibility& eligibility,
                                  std::span<const PartitionUnit> units, RunLimits& limits)
{
    if (units.empty())
        return;
    const auto removal = patiently([&] { return std::make_unique<PartitionRemoval>(context, eligibility, limits); });
    while (!units.empty()) {
        std::size_t done = 1;
        try {
            const PartitionRemoval::Result result = removal->remove(units);
            if (result.removed == 0) {
                ++kept_partitions_[result.reason];
                run_rows_of(context, eligibility, units.front(), limits);
            }
            done = std::max<std::size_t>(1, result.removed);
        } catch (const LeafGone&) {
            ++gone_; // dropped, or detached to be kept: either way no longer the policy's
        }
        units = units.subspan(done);
    }
}

void PolicyRun::run_rows_of(const RunContext& context, const Eligibility& eligibility, const PartitionUnit& unit,
                            RunLimits& limits)
{
    for (const Oid leaf : unit.leaves) {
        try {
            const LeafPlan plan = patiently([&] {
                pg_call([&] { LockRelationOid(leaf, AccessShareLock); });
                if (!is_leaf_of(leaf, policy_.target))
                    throw LeafGone{};
                return plan_leaf(eligibility, leaf);
            });
            run_leaf(context, eligibility, plan, limits);
        } catch (const LeafGone&) {
            ++gone_;
        }
    }
}

void PolicyRun::record_plan(const PartitionPlan& partitions, std::span<const LeafPlan> leaves)
{
    std::int64_t units = partitions.blocks();
    for (const LeafPlan& leaf : leaves)
        units += leaf.units;
    const std::string strategy = strategy_name(!partitions.units.empty(), leaves);
    const bool by_rows = strategy.find("index") != std::string::npos;
    record_.set_plan(strategy, units, !by_rows ? "block" : strategy == "index" ? "row" : "block or row");
}

// What a run says besides its status.
std::string PolicyRun::notes() const
{
    std::vector<std::string> all;
    if (gone_ > 0)
        all.push_back(concat(gone_, gone_ == 1 ? " partition was" : " partitions were",
                             " detached or dropped during the run, and left alone"));
    for (const auto& [reason, partitions] : kept_partitions_)
        all.push_back(concat(partitions, partitions == 1 ? " partition was" : " partitions were",
                             " emptied row by row: ", reason));
    std::string text;
    for (const std::string& note : all)
        text += concat(text.empty() ? "" : "; ", note);
    return text;
}

// Everything that can refuse the run does so here, before the first batch.
void PolicyRun::plan_work(const RunPlan& plan, LeafWork& work)
{
    check_guard();
    verify_meaning(policy_, policy_.target);
    if (policy_.action == "archive") {
        work.archives.emplace(policy_, request_.run_id, session_.owner);
        work.archives->prepare();
    }
    work.eligibility = std::make_unique<Eligibility>(policy_, plan.window);
    const std::vector<Oid> tables = leaf_tables(policy_.target);
    check_breaker(*work.eligibility, tables);
    check_references(*work.eligibility, tables);
    work.links.emplace(policy_, session_.owner);
    work.partitions = plan_partitions(policy_, *work.eligibility, session_.owner);
    work.leaves = plan_leaves(*work.eligibility, work.partitions.leaves);
    record_plan(work.partitions, work.leaves);
    if (updates_rows(policy_))
        work.update.emplace(policy_, request_.start, plan.cutoff, plan.retain);
}

RunLimits PolicyRun::limits() const
{
    RunLimits limits;
    limits.rows_left = request_.max_rows.get();
    if (request_.max_microseconds.is_set)
        limits.stop_at = pg::elapsed_clock() + microseconds(request_.max_microseconds.value);
    limits.failing_rows_left = static_cast<std::int32_t>(max_failing_rows());
    return limits;
}

void PolicyRun::run_leaves(const RunPlan& plan)
{
    LeafWork work;
    patiently([&] { plan_work(plan, work); });
    record_.committed();
    RunLimits limits = this->limits();
    const RunContext context{request_,
                             channel_.state(),
                             session_,
                             policy_,
                             plan.fingerprint,
                             watch_,
                             record_,
                             lock_timeout_,
                             plan.row_width,
                             *work.links,
                             notes_,
                             work.update ? &*work.update : nullptr,
                             work.archives ? &*work.archives : nullptr};
    remove_partitions(context, *work.eligibility, work.partitions.units, limits);
    for (const LeafPlan& leaf : work.leaves) {
        try {
            run_leaf(context, *work.eligibility, leaf, limits);
        } catch (const LeafGone&) {
            ++gone_;
        }
    }
}

void PolicyRun::begin_record()
{
    in_transaction([this] { record_.begin(); });
    record_.committed();
}

std::string PolicyRun::execute()
{
    Outcome outcome;
    begin_record();
    try {
        const RunPlan plan = patiently([this] { return prepare(); });
        in_transaction([&] { record_.set_cutoff(plan.cutoff); });
        record_.committed();
        run_leaves(plan);
    } catch (const RunStopped& stopped) {
        record_.rolled_back();
        outcome = {stopped.status, stopped.message};
    } catch (const pg::PgError& error) {
        record_.rolled_back();
        pg::log_error(LOG,
                      concat("pg_cleanup run ", request_.run_id, ", policy \"", policy_.name, "\", table ",
                             policy_.target_name, ": "),
                      error);
        outcome = {error.is_cancel() ? "cancelled" : "failed", failure_text(error)};
    }
    if (outcome.status == "succeeded" && skipped_.total() > 0)
        outcome = {"partial", concat(skipped_.total(), skipped_.total() == 1 ? " row was" : " rows were",
                                     " left behind; cleanup_audit says why")};
    if (const std::string text = notes(); !text.empty())
        outcome.message += concat(outcome.message.empty() ? "" : "; ", text);
    finish_record(outcome);
    return outcome.status;
}

void PolicyRun::finish_record(const Outcome& outcome)
{
    const std::vector<SkippedRows> skipped = skipped_.list();
    pg::JsonObject details;
    details.text("condition", policy_.condition).boolean("forced", request_.force);
    if (policy_.set_values)
        details.json("set_values", *policy_.set_values);
    if (notes_.largest > 0)
        details.json("largest_family", std::to_string(notes_.largest));
    in_transaction([&] { record_.finish(outcome.status, outcome.message, skipped, details); });
}

} // namespace

void run_policy(const OwnerSession& session, const TaskChannel& channel, const Policy& policy)
{
    const std::string status = PolicyRun(session, channel, policy).execute();
    if (status == "succeeded" || status == "partial")
        remove_expired_archived_rows(session, channel, policy);
}

} // namespace pgcleanup
