#include "extension/task_channel.h"

#include "pg/guard.h"
#include "pg/memory.h"

#include <cstring>

namespace pgcleanup {

using pg::pg_call;

namespace {

constexpr Size queue_size{65536};

Size state_size()
{
    return MAXALIGN(sizeof(ChannelState));
}

void append_length(std::string& buffer, std::int32_t length)
{
    std::array<char, sizeof length> bytes{};
    std::memcpy(bytes.data(), &length, sizeof length);
    buffer.append(bytes.data(), bytes.size());
}

std::string encode(MessageKind kind, const std::vector<pg::Cell>& cells)
{
    std::string buffer(1, static_cast<char>(kind));
    for (const pg::Cell& cell : cells) {
        append_length(buffer, cell ? static_cast<std::int32_t>(cell->size()) : -1);
        if (cell)
            buffer.append(*cell);
    }
    return buffer;
}

Message decode(std::string_view buffer)
{
    Message message;
    message.kind = static_cast<MessageKind>(buffer.front());
    buffer.remove_prefix(1);
    while (!buffer.empty()) {
        std::int32_t length = 0;
        std::memcpy(&length, buffer.data(), sizeof length);
        buffer.remove_prefix(sizeof length);
        if (length < 0) {
            message.cells.emplace_back();
            continue;
        }
        message.cells.emplace_back(std::string(buffer.substr(0, static_cast<std::size_t>(length))));
        buffer.remove_prefix(static_cast<std::size_t>(length));
    }
    return message;
}

} // namespace

const char* trigger_name(RunTrigger trigger)
{
    switch (trigger) {
    case RunTrigger::schedule:
        return "schedule";
    case RunTrigger::cron:
        return "cron";
    case RunTrigger::manual:
        break;
    }
    return "manual";
}

void TaskRequest::set_retain(const std::optional<std::string>& text)
{
    has_retain = text.has_value();
    if (!text)
        return;
    if (text->size() >= sizeof retain)
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE, .message = "retain is too long", .detail = *text});
    std::memcpy(retain, text->c_str(), text->size() + 1);
}

void TaskRequest::set_condition(const std::optional<std::string>& text)
{
    has_condition = text.has_value();
    if (!text)
        return;
    if (text->size() >= sizeof condition)
        pg::raise({.sqlstate = ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                   .message = "the condition is too long",
                   .detail = pg::concat("It has ", text->size(), " bytes, of at most ", sizeof condition - 1, ".")});
    std::memcpy(condition, text->c_str(), text->size() + 1);
}

std::vector<pg::Cell> error_cells(const pg::PgError& error)
{
    const pg::ErrorFields& fields = error.fields();
    return {std::to_string(fields.sqlstate),
            fields.message,
            fields.detail,
            fields.hint,
            fields.context,
            fields.schema_name,
            fields.table_name,
            fields.column_name,
            fields.datatype_name,
            fields.constraint_name};
}

pg::PgError error_of_cells(const std::vector<pg::Cell>& cells)
{
    const auto text = [&](std::size_t n) { return pg::to_text(cells.at(n)); };
    pg::ErrorFields fields;
    fields.sqlstate = static_cast<int>(pg::to_int64(cells.at(0)));
    fields.message = text(1);
    fields.detail = text(2);
    fields.hint = text(3);
    fields.context = text(4);
    fields.schema_name = text(5);
    fields.table_name = text(6);
    fields.column_name = text(7);
    fields.datatype_name = text(8);
    fields.constraint_name = text(9);
    return {std::move(fields), false};
}

TaskChannel TaskChannel::create(const TaskRequest& request)
{
    dsm_segment* segment = pg_call([] { return dsm_create(state_size() + queue_size, 0); });
    auto* base = static_cast<char*>(dsm_segment_address(segment));
    auto* state = reinterpret_cast<ChannelState*>(base);
    std::memset(base, 0, state_size());
    state->request = request;
    pg_atomic_init_u32(&state->cancel_requested, 0);
    pg_atomic_init_u32(&state->asker_gone, 0);
    pg_atomic_init_u32(&state->window_closed, 0);
    pg_atomic_init_u32(&state->declined, 0);
    pg_atomic_init_u32(&state->alive, 0);
    pg_atomic_init_u64(&state->run_id, 0);
    shm_mq_handle* queue = pg_call([&] {
        shm_mq* shared = shm_mq_create(base + state_size(), queue_size);
        shm_mq_set_receiver(shared, MyProc);
        return shm_mq_attach(shared, segment, nullptr);
    });
    return {segment, state, queue};
}

TaskChannel TaskChannel::attach(dsm_handle handle)
{
    dsm_segment* segment = pg_call([&] { return dsm_attach(handle); });
    if (segment == nullptr)
        pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   .message = "pg_cleanup: whoever asked for this worker is gone"});
    auto* base = static_cast<char*>(dsm_segment_address(segment));
    shm_mq_handle* queue = pg_call([&] {
        auto* shared = reinterpret_cast<shm_mq*>(base + state_size());
        shm_mq_set_sender(shared, MyProc);
        return shm_mq_attach(shared, segment, nullptr);
    });
    return {segment, reinterpret_cast<ChannelState*>(base), queue};
}

TaskChannel::TaskChannel(TaskChannel&& other) noexcept
    : segment_(std::exchange(other.segment_, nullptr)), state_(other.state_), queue_(other.queue_)
{
}

TaskChannel::~TaskChannel()
{
    // Detaching tells the other end; after an error the transaction's resource owner may have done it already.
    if (segment_ != nullptr)
        pg::pg_cleanup_call([this] { dsm_detach(segment_); });
}

dsm_handle TaskChannel::handle() const noexcept
{
    return dsm_segment_handle(segment_);
}

void TaskChannel::on_close(on_dsm_detach_callback callback) const
{
    pg_call([&] { on_dsm_detach(segment_, callback, PointerGetDatum(state_)); });
}

void TaskChannel::expect(BackgroundWorkerHandle* worker) const
{
    pg_call([&] { shm_mq_set_handle(queue_, worker); });
}

std::optional<Message> TaskChannel::receive(bool& closed) const
{
    Size size = 0;
    void* data = nullptr;
    const shm_mq_result result = pg_call([&] { return shm_mq_receive(queue_, &size, &data, true); });
    closed = result == SHM_MQ_DETACHED;
    if (result != SHM_MQ_SUCCESS)
        return std::nullopt;
    return decode({static_cast<const char*>(data), size});
}

bool TaskChannel::send(MessageKind kind, const std::vector<pg::Cell>& cells) const
{
    const std::string buffer = encode(kind, cells);
    return pg_call([&] { return shm_mq_send(queue_, buffer.size(), buffer.data(), false, true); }) == SHM_MQ_SUCCESS;
}

} // namespace pgcleanup
