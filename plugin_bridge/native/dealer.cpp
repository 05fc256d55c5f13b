// Every default of ZeroMQ's that would queue without a bound or wait without one is set.

#include "dealer.h"

namespace descant {

namespace {
constexpr int HIGH_WATER = 256;
} // namespace

bool Dealer::open(const Address& address)
{
    session = 0;
    sequence = 0;
    try {
        auto fresh = std::make_unique<zmq::socket_t>(context_, zmq::socket_type::dealer);
        fresh->set(zmq::sockopt::linger, 0);
        fresh->set(zmq::sockopt::maxmsgsize, int64_t(DESCANT_MAX_PART_BYTES));
        fresh->set(zmq::sockopt::sndhwm, HIGH_WATER);
        fresh->set(zmq::sockopt::rcvhwm, HIGH_WATER);
        fresh->set(zmq::sockopt::immediate, 1); // nothing is queued for a host that is not there
        fresh->set(zmq::sockopt::handshake_ivl, 2000);
        fresh->set(zmq::sockopt::reconnect_ivl, 50);
        fresh->set(zmq::sockopt::reconnect_ivl_max, 500);
        if (!address.host_key.empty()) {
            fresh->set(zmq::sockopt::curve_serverkey, address.host_key);
            fresh->set(zmq::sockopt::curve_publickey, address.public_key);
            fresh->set(zmq::sockopt::curve_secretkey, address.secret_key);
        }
        fresh->connect(address.endpoint);
        socket_ = std::move(fresh);
    } catch (const zmq::error_t&) {
        return false;
    }
    return true;
}

void Dealer::close()
{
    if (socket_)
        socket_->close();
    socket_.reset();
    session = 0;
}

bool Dealer::post(const Parts& parts)
{
    if (!socket_ || parts.empty())
        return false;
    for (size_t i = 0; i < parts.size(); ++i) {
        const auto more = i + 1 < parts.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
        if (!socket_->send(zmq::buffer(parts[i]), more | zmq::send_flags::dontwait))
            return false; // refused at the first part: never half a message
    }
    ++sequence;
    return true;
}

bool Dealer::receive(std::vector<zmq::message_t>& messages, std::vector<std::string_view>& parts)
{
    messages.clear();
    parts.clear();
    do {
        messages.emplace_back();
        if (!socket_ || !socket_->recv(messages.back(), zmq::recv_flags::dontwait))
            return false;
        if (messages.size() > DESCANT_MAX_PARTS + 1)
            messages.pop_back(); // longer than any message: read on, to its end
    } while (socket_->get(zmq::sockopt::rcvmore));
    for (const zmq::message_t& message : messages)
        parts.emplace_back(static_cast<const char*>(message.data()), message.size());
    return true;
}

void Dealer::wait(std::chrono::milliseconds most)
{
    zmq::pollitem_t item{socket_->handle(), 0, ZMQ_POLLIN, 0};
    zmq::poll(&item, 1, most);
}

void Dealer::linger(std::chrono::milliseconds most) { socket_->set(zmq::sockopt::linger, int(most.count())); }

} // namespace descant
