#include "extension/policy_order.h"

#include <map>
#include <set>

namespace pgcleanup {

namespace {

// relation -> the relations that it references.
using References = std::map<Oid, std::set<Oid>>;

References read_references(pg::Spi& spi, const pg::Extension& extension)
{
    const pg::AsExtensionOwner as_owner(extension);
    References references;
    for (const auto& row : spi.run("SELECT DISTINCT conrelid, confrelid FROM pg_catalog.pg_constraint "
                                   "WHERE contype = 'f' AND conrelid <> confrelid"))
        references[static_cast<Oid>(pg::to_int64(row[0]))].insert(static_cast<Oid>(pg::to_int64(row[1])));
    return references;
}

std::set<Oid> reachable(const References& references, Oid from)
{
    std::set<Oid> found;
    std::vector<Oid> open = {from};
    while (!open.empty()) {
        const auto next = references.find(open.back());
        open.pop_back();
        if (next == references.end())
            continue;
        for (const Oid referenced : next->second) {
            if (found.insert(referenced).second)
                open.push_back(referenced);
        }
    }
    return found;
}

// A policy that waits for its place.
struct Waiting {
    Policy policy;
    std::set<Oid> references;

    bool goes_before(const Waiting& other) const
    {
        return references.contains(other.policy.target) && !other.references.contains(policy.target);
    }
};

bool is_free(const Waiting& candidate, const std::vector<Waiting>& waiting)
{
    return std::none_of(waiting.begin(), waiting.end(),
                        [&](const Waiting& other) { return other.goes_before(candidate); });
}

// `waiting` is in order of name.
void take_in_order(std::vector<Waiting> waiting, std::vector<Policy>& result)
{
    while (!waiting.empty()) {
        auto next = std::find_if(waiting.begin(), waiting.end(),
                                 [&](const Waiting& candidate) { return is_free(candidate, waiting); });
        if (next == waiting.end())
            next = waiting.begin();
        result.push_back(std::move(next->policy));
        waiting.erase(next);
    }
}

} // namespace

void order_by_references(pg::Spi& spi, const pg::Extension& extension, std::vector<Policy>& policies)
{
    if (policies.size() < 2)
        return;
    const References references = read_references(spi, extension);
    std::vector<Policy> result;
    for (auto begin = policies.begin(); begin != policies.end();) {
        const std::int32_t priority = begin->priority;
        std::vector<Waiting> waiting;
        for (; begin != policies.end() && begin->priority == priority; ++begin) {
            const Oid target = begin->target;
            waiting.push_back({std::move(*begin), reachable(references, target)});
        }
        take_in_order(std::move(waiting), result);
    }
    policies = std::move(result);
}

} // namespace pgcleanup
