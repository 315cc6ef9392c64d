// The worker that is a target's owner: attaches to its channel, becomes him, and does one task.
#include "extension/cron_jobs.h"
#include "extension/dry_run.h"
#include "extension/dry_run_detail.h"
#include "extension/policy_run.h"
#include "extension/preview.h"
#include "extension/restore_run.h"
#include "extension/task_channel.h"
#include "pg/version.h"

extern "C" {
PGDLLEXPORT void pg_cleanup_owner_worker(Datum channel);
}

namespace pgcleanup {

namespace {

using pg::concat;
using pg::pg_call;

class ChannelReply : public TaskReply {
public:
    explicit ChannelReply(const TaskChannel& channel) : channel_(channel) {}
    void row(const std::vector<pg::Cell>& cells) override
    {
        if (!channel_.send(MessageKind::row, cells))
            pg::raise({.sqlstate = ERRCODE_QUERY_CANCELED, .message = "whoever asked for these rows is gone"});
    }

private:
    const TaskChannel& channel_;
};

void connect(const TaskRequest& request)
{
    const bool as_owner = static_cast<Connection>(request.connection) == Connection::as_owner;
    pg_call([&] {
        BackgroundWorkerInitializeConnectionByOid(request.database, as_owner ? request.owner : InvalidOid,
                                                  as_owner ? pg::bypass_login_check : 0);
    });
}

Policy load_policy(const TaskRequest& request)
{
    pg::WorkerTransaction transaction;
    const pg::Extension extension = pg::extension();
    std::optional<Policy> policy;
    {
        const pg::AsExtensionOwner owner(extension);
        pg::Spi spi;
        policy = find_policy(spi, extension, request.policy_id);
    }
    transaction.commit();
    if (!policy)
        pg::raise({.sqlstate = ERRCODE_UNDEFINED_OBJECT, .message = "the policy was dropped meanwhile"});
    return *std::move(policy);
}

// What pg_stat_activity shows.
void announce(const TaskRequest& request, const Policy& policy)
{
    const char* work = request.kind == TaskKind::preview ? "preview" : "dry run";
    const bool is_of_a_run = request.kind == TaskKind::run_policy || request.kind == TaskKind::restore_policy;
    const std::string text = is_of_a_run ? concat("pg_cleanup run ", request.run_id, ": ", policy.name)
                                         : concat("pg_cleanup ", work, ": ", policy.name);
    pg_call([&] { pgstat_report_activity(STATE_RUNNING, text.c_str()); });
}

void do_task(const TaskChannel& channel)
{
    const TaskRequest& request = channel.state().request;
    if (request.kind == TaskKind::cron_job) { // of pg_cron's database, which may have no policies
        change_cron_job(request.cron_job);
        return;
    }
    const Policy policy = load_policy(request);
    const OwnerSession session =
        open_owner_session(request.owner, static_cast<Connection>(request.connection), policy.time_zone);
    announce(request, policy);
    ChannelReply reply(channel);
    switch (request.kind) {
    case TaskKind::run_policy:
        run_policy(session, channel, policy);
        break;
    case TaskKind::restore_policy:
        restore_policy(session, channel, policy, reply);
        break;
    case TaskKind::dry_run:
        dry_run_policy(session, request, policy, reply);
        break;
    case TaskKind::preview:
        preview_policy(session, request, policy, reply);
        break;
    case TaskKind::dry_run_detail:
        dry_run_detail(session, request, policy, reply);
        break;
    case TaskKind::cron_job:
    case TaskKind::run:
        pg::raise({.message = "pg_cleanup: no task of an owner's worker"});
    }
}

void owner_worker(dsm_handle handle)
{
    pg_call([] {
        pqsignal(SIGHUP, SignalHandlerForConfigReload);
        pqsignal(SIGTERM, die);
        BackgroundWorkerUnblockSignals();
    });
    const TaskChannel channel = TaskChannel::attach(handle);
    connect(channel.state().request);
    pg_atomic_write_u32(&channel.state().alive, 1);
    try {
        do_task(channel);
        channel.send(MessageKind::done, {});
    } catch (const pg::PgError& error) {
        if (!channel.send(MessageKind::error, error_cells(error)))
            pg::log_error(LOG, "pg_cleanup: ", error);
    }
}

} // namespace

} // namespace pgcleanup

void pg_cleanup_owner_worker(Datum channel)
{
    pgcleanup::pg::pg_entry([&] { pgcleanup::owner_worker(DatumGetUInt32(channel)); });
}
