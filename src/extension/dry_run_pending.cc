// Until dry run and preview land: lets everything else be linked and tried. Weak, so that the real ones win.
#include "extension/dry_run.h"
#include "extension/preview.h"

namespace pgcleanup {

__attribute__((weak)) void dry_run_policy(const OwnerSession&, const TaskRequest&, const Policy&, TaskReply&)
{
    pg::raise({.sqlstate = ERRCODE_FEATURE_NOT_SUPPORTED, .message = "dry run is not there yet"});
}

__attribute__((weak)) void preview_policy(const OwnerSession&, const TaskRequest&, const Policy&, TaskReply&)
{
    pg::raise({.sqlstate = ERRCODE_FEATURE_NOT_SUPPORTED, .message = "preview is not there yet"});
}

} // namespace pgcleanup
