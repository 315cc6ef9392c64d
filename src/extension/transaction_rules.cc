#include "extension/transaction_rules.h"

#include "pg/text.h"
#include "pg/version.h"

namespace pgcleanup {

using pg::concat;
using pg::pg_call;

namespace {

std::string wait_hint(std::string_view function)
{
    if (function != "cleanup_run")
        return "Call it outside a transaction.";
    return "Call it outside a transaction, or with wait => false: the run then starts when this transaction commits.";
}

[[noreturn]] void refuse(const char* function, const char* message, const char* detail)
{
    pg::raise({.sqlstate = ERRCODE_ACTIVE_SQL_TRANSACTION,
               .message = concat(function, " cannot wait for its work ", message),
               .detail = detail,
               .hint = wait_hint(function)});
}

} // namespace

void check_waiting_transaction(std::span<const Oid> tables, const char* function)
{
    if (IsSubTransaction())
        refuse(function, "inside a subtransaction",
               "The work is done by a background worker in transactions of its own.");
    if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
        refuse(function, "in a transaction that has changed something",
               "The background worker would not see the changes, or would wait for them.");
    if ((MyXactFlags & XACT_FLAGS_PIPELINING) != 0)
        refuse(function, "in a pipeline", "The statements of a pipeline share one transaction.");
    for (const Oid table : tables) {
        if (pg_call([&] { return pg::pg_holds_lock_on(table); }))
            pg::raise({.sqlstate = ERRCODE_OBJECT_IN_USE,
                       .message = concat(function,
                                         " cannot wait for its work while this transaction holds a lock on a target"),
                       .detail = concat("The lock is on table ", pg::relation_name(table),
                                        ", and the background worker might have to wait for it."),
                       .hint = wait_hint(function)});
    }
}

void check_can_write(const char* function)
{
    pg_call([&] {
        PreventCommandDuringRecovery(function);
        PreventCommandIfReadOnly(function);
    });
}

} // namespace pgcleanup
