// cleanup_policy_states: what policy_state says, for people.
#include "extension/arguments.h"
#include "extension/policy_state.h"
#include "extension/rights.h"
#include "pg/result_set.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_policy_states);
}

namespace pgcleanup {

namespace {

std::vector<Policy> asked_for(const std::string& name)
{
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const Rights rights(spi, extension, pg::current_identity().user);
    std::vector<Policy> policies = all_policies(spi, extension);
    std::erase_if(policies, [&](const Policy& policy) {
        return !rights.may(Right::see, policy) || (name != every_policy && policy.name != name);
    });
    if (policies.empty() && name != every_policy)
        raise_unknown_policy(spi, extension, name, rights.role());
    return policies;
}

void return_states(FunctionCallInfo fcinfo)
{
    const std::vector<Policy> policies = asked_for(policy_argument(fcinfo, 0));
    const pg::ResultSet result(fcinfo);
    for (const Policy& policy : policies) {
        const PolicyState state = policy_state(policy);
        const pg::Cell reason = state.reason.empty() ? pg::Cell() : pg::Cell(state.reason);
        result.row({policy.name, policy.target_name, state_name(state.condition), reason});
    }
}

} // namespace

} // namespace pgcleanup

using namespace pgcleanup;

Datum cleanup_policy_states(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] {
        return_states(fcinfo);
        return Datum(0);
    });
}
