// A bridge's socket: one DEALER that never waits unless told to, and stamps sessions and sequences.
//
// Thread: network, all of it. Knows nothing about what is said. ZeroMQ's own exceptions may leave `receive` and `wait`.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <zmq.hpp>

#include "endpoint.h"
#include "message.h"

namespace descant {

class Dealer {
public:
    // A fresh socket at an address; the sequence begins anew. False: ZeroMQ refuses the address.
    bool open(const Address& address);
    void close();
    bool is_open() const { return bool(socket_); }

    // Send all or nothing, without waiting; false: nobody there, or too much is under way. Of nothing: false.
    bool post(const Parts& parts);

    // The next message, if one has come: its parts, never more than one beyond the longest message. Views into `messages`.
    bool receive(std::vector<zmq::message_t>& messages, std::vector<std::string_view>& parts);

    // Until something has come, or so long.
    void wait(std::chrono::milliseconds most);

    // What is under way may take this long after `close`.
    void linger(std::chrono::milliseconds most);

    uint64_t session = 0;
    uint32_t sequence = 0; // of the next message

private:
    zmq::context_t context_;
    std::unique_ptr<zmq::socket_t> socket_;
};

} // namespace descant
