// The shared memory between the process that asks (a backend, or a run's coordinator) and the worker that does: the
// request, a few flags, and a queue of messages back.
#pragma once

#include "extension/task.h"

namespace pgcleanup {

// What lies in the segment. Plain data and atomics only.
struct ChannelState {
    TaskRequest request;
    pg_atomic_uint32 cancel_requested; // by the asker: stop at the next batch at the latest
    pg_atomic_uint32 asker_gone;       // the asker ended without waiting for the end
    pg_atomic_uint32 window_closed;    // by a coordinator: stop before the next batch
    pg_atomic_uint32 declined;         // by a coordinator: there was nothing to do for it
    pg_atomic_uint32 alive;            // the worker has begun (a coordinator: it holds its run's lock)
    pg_atomic_uint64 run_id;           // set by a coordinator
};

enum class MessageKind : char { row = 'R', error = 'E', done = 'D' };

struct Message {
    MessageKind kind = MessageKind::done;
    std::vector<pg::Cell> cells;
};

// An error as cells, and back: everything that ErrorFields holds survives.
std::vector<pg::Cell> error_cells(const pg::PgError& error);
pg::PgError error_of_cells(const std::vector<pg::Cell>& cells);

// One end of a channel. The asker creates it before starting the worker; the worker attaches by the handle.
class TaskChannel {
public:
    static TaskChannel create(const TaskRequest& request);
    static TaskChannel attach(dsm_handle handle);
    ~TaskChannel();
    TaskChannel(TaskChannel&& other) noexcept;
    TaskChannel(const TaskChannel&) = delete;
    TaskChannel& operator=(const TaskChannel&) = delete;
    TaskChannel& operator=(TaskChannel&&) = delete;

    dsm_handle handle() const noexcept;
    ChannelState& state() const noexcept { return *state_; }

    // Asker: what to call, with the address of the state, when this end goes away for whatever reason.
    void on_close(on_dsm_detach_callback callback) const;

    // Asker: the worker's handle lets a receive notice a worker that never attached.
    void expect(BackgroundWorkerHandle* worker) const;
    // Asker: the next message if there is one; nothing when there is none yet. `closed` becomes true when the worker's
    // end is gone and nothing is left to read.
    std::optional<Message> receive(bool& closed) const;
    // Worker: waits while the queue is full; false when the asker is gone (which is no error).
    bool send(MessageKind kind, const std::vector<pg::Cell>& cells) const;

private:
    TaskChannel(dsm_segment* segment, ChannelState* state, shm_mq_handle* queue)
        : segment_(segment), state_(state), queue_(queue)
    {
    }
    dsm_segment* segment_;
    ChannelState* state_;
    shm_mq_handle* queue_;
};

} // namespace pgcleanup
