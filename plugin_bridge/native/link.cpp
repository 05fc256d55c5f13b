// The conversation with the host, one turn of a few milliseconds after another.

#include "link.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>

#include <zmq.hpp>

#include "endpoint.h"
#include "starter.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace descant {

namespace {
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int HIGH_WATER = 256;
constexpr int MESSAGES_A_TURN = 1024;
constexpr auto LIVE_TURN = milliseconds(2), IDLE_TURN = milliseconds(10), BOUNCE_TURN = milliseconds(1);
constexpr auto REPORT_AFTER = milliseconds(10); // of audio
constexpr auto BEAT = milliseconds(DESCANT_HEARTBEAT_MS);
constexpr auto SILENT = BEAT * DESCANT_HEARTBEAT_MISSES;
constexpr auto GREET_AGAIN = milliseconds(2000), LOOK_AGAIN = milliseconds(500);
constexpr uint16_t HUM_FAULT = 132; // the host's own code for a clip it cannot follow (host/translate.py)
constexpr size_t EVENTS = 4096, BLOCKS = 1024;

void ask_for_priority()
{
#if defined(__linux__)
    sched_param priority{};
    priority.sched_priority = 10;
    pthread_setschedparam(pthread_self(), SCHED_RR, &priority); // mostly refused: then as everybody
    pthread_setname_np(pthread_self(), "descant link");
#endif
}
} // namespace

Shared::Shared(uint32_t n_channels, int64_t n_ring, double input_rate)
    : events(EVENTS), blocks(size_t(n_channels) * size_t(2 * n_ring + 2 * DESCANT_MAX_BLOCK_SAMPLES), BLOCKS),
      input(input_rate), channels(n_channels), ring_samples(n_ring)
{
}

// Everything the network thread owns: a socket and where the conversation stands.
struct Link::Work {
    explicit Work(Link& of) : link(of), shared(of.shared_), report(of.report_) {}

    void turn()
    {
        refresh();
        if (!socket)
            open();
        drain();
        send_clip();
        greet();
        beat();
        wait();
        for (int i = 0; socket && i < MESSAGES_A_TURN && receive(); ++i) {
        }
        if (live() && Clock::now() - heard > SILENT)
            lose();
    }

    void leave()
    {
        if (socket && session) {
            post(pack_goodbye("", session, sequence));
            socket->set(zmq::sockopt::linger, 100);
        }
        close();
    }

    Link& link;
    Shared& shared;
    Report& report;

private:
    bool live() const { return state() == LinkState::LIVE || state() == LinkState::OTHER_MODEL; }
    LinkState state() const { return LinkState(report.state.load(std::memory_order_relaxed)); }
    void set(LinkState now) { report.state.store(uint32_t(now), std::memory_order_relaxed); }

    // Take over what the main thread has changed; another host is another socket, another seed another session.
    void refresh()
    {
        const uint64_t seed = link.seed_.load(std::memory_order_relaxed);
        const uint32_t turns = shared.turns.load(std::memory_order_acquire);
        const std::lock_guard<std::mutex> lock(link.mutex_);
        if (turns != which) {
            which = turns;
            for_bounce = which & 1;
            to_greet = to_greet || session || !awaiting; // a session that is just being asked for will do
            if (session)
                post(pack_goodbye(for_bounce ? "a bounce begins" : "a bounce ends", session, sequence));
            session = 0;
            if (live())
                set(LinkState::LOOKING);
        }
        if (report.bounce.load(std::memory_order_relaxed) == Report::FAILED && !told_failure)
            link.words_ = "The bounce is not complete: the host did not answer, or it was lost on the way.\n"
                          "What was bounced before is right; the rest is silence.\n"
                          "Start the host (descant host) and bounce again.\n";
        told_failure = report.bounce.load(std::memory_order_relaxed) == Report::FAILED;
        if (keys != link.settings_.keys) {
            for (const auto& [key, words] : keys)
                news.emplace(key, ""); // taken away, if nothing follows
            keys = link.settings_.keys;
            for (const auto& [key, words] : keys)
                news[key] = words;
        }
        if (version == link.version_ && seed == hello.seed)
            return;
        version = link.version_;
        hello = link.hello_;
        hello.seed = seed;
        settings = link.settings_;
        hello.preset = settings.preset;
        hello.model = settings.model;
        if (socket && find_host(settings.endpoint).endpoint != address.endpoint) {
            post(pack_goodbye("", session, sequence));
            close();
        }
        to_greet = true;
    }

    void open()
    {
        address = find_host(settings.endpoint);
        looked = Clock::now();
        set(address.endpoint.empty() ? LinkState::REFUSED : LinkState::LOOKING);
        if (address.endpoint.empty())
            return;
        try {
            auto fresh = std::make_unique<zmq::socket_t>(context, zmq::socket_type::dealer);
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
            socket = std::move(fresh);
        } catch (const zmq::error_t&) {
            set(LinkState::REFUSED);
        }
        session = 0;
        sequence = 0;
        to_greet = true;
        said_hello = awaiting = false;
    }

    void close()
    {
        if (socket)
            socket->close();
        socket.reset();
        session = 0;
    }

    void greet()
    {
        if (!socket)
            return;
        const auto now = Clock::now();
        if (awaiting && now - greeted > GREET_AGAIN)
            to_greet = true;
        if (!to_greet)
            return;
        hello_sequence = sequence;
        if (post(pack(hello, session, sequence))) {
            to_greet = false;
            said_hello = awaiting = true;
            greeted = now;
        } else if (session == 0 && now - looked > LOOK_AGAIN) { // nobody there: perhaps the host is elsewhere
            looked = now;
            const Address now_at = find_host(settings.endpoint);
            if (now_at.endpoint != address.endpoint)
                close();
            else if (!now_at.program.empty())
                start_host(now_at.program, now_at.endpoint);
        }
    }

    // What the audio thread said: sent if there is a session, otherwise over.
    void drain()
    {
        if (live() && !to_greet && !tell_keys())
            return; // what is played would not find its words
        while (const Event* event = shared.events.front()) {
            if (event->kind == Event::JUMP)
                jumps = event->index;
            if (event->kind == Event::CLIP_BEGIN || event->kind == Event::CLIP_END) {
                follow_clip(*event); // sent once there is a session: the last minute is kept
            } else if (live() && !to_greet) {
                if (!say(*event))
                    return; // the socket is full: later
            } else if (event->kind != Event::JUMP) {
                count(report.unsent);
            }
            shared.events.pop();
        }
    }

    bool tell_keys()
    {
        const int64_t at = Place::unpack(shared.place.load(std::memory_order_acquire)).playhead;
        for (auto row = news.begin(); row != news.end(); row = news.erase(row))
            if (!post(pack_key_prompt(row->first, row->second, at, session, sequence)))
                return false;
        return true;
    }

    void follow_clip(const Event& event)
    {
        if (event.kind == Event::CLIP_BEGIN)
            clip = {true, event.index, 0, event.at_sample, int64_t(event.amount), int64_t(event.amount), -1};
        else if (clip.open && clip.number == event.index)
            clip.end = int64_t(event.amount);
        report.clip = Report::SENDING;
    }

    // What of the clip has been recorded, in pieces; the last one closes it.
    void send_clip()
    {
        while (clip.open && live() && !to_greet) {
            const int64_t there = clip.end < 0 ? shared.input.written() : clip.end;
            const auto n = uint32_t(std::clamp<int64_t>(there - clip.next, 0, DESCANT_MAX_BLOCK_SAMPLES));
            const bool last = clip.end >= 0 && clip.next + n >= clip.end;
            if (!last && n < DESCANT_MAX_BLOCK_SAMPLES)
                return;
            piece.resize(DESCANT_MAX_BLOCK_SAMPLES);
            if (n == 0 || !shared.input.read(clip.next, piece.data(), n)) {
                clip.open = false; // no host for more than a minute, or a clip of nothing
                report.clip = Report::REFUSED;
                return;
            }
            if (!post(pack_capture(clip.number, hello.sample_rate, clip.index, last, piece.data(), n, clip.at_sample, session, sequence)))
                return;
            clip.next += n;
            ++clip.index;
            if (last)
                clip.open = false;
        }
    }

    bool say(const Event& event)
    {
        if (event.kind == Event::JUMP)
            return tell_place(event.at_sample, Clock::now());
        if (event.kind == Event::SYNC)
            return ask(event);
        std::string name;
        if (event.kind == Event::PARAMETER)
            name = link.names_[event.index];
        if (event.kind == Event::PRESET) {
            if (event.index >= presets.size()) {
                count(report.unsent);
                return true;
            }
            name = settings.preset = presets[event.index];
            const std::lock_guard<std::mutex> lock(link.mutex_);
            link.settings_.preset = name;
        }
        return post(pack(event, name, session, sequence));
    }

    // The credit, when the playhead has moved or a heartbeat is due. A jump is told in its turn among the events.
    void beat()
    {
        if (!socket || !session || to_greet)
            return;
        const Place place = Place::unpack(shared.place.load(std::memory_order_acquire));
        if (place.jumps != (jumps & 0xFFFF))
            return;
        const auto now = Clock::now();
        if (for_bounce) { // the host's clock is what was asked for, nothing else
            if (has_told && now - told_at < BEAT)
                return;
            if (asked.open) // to a host at work the question is the sign of life
                ask(asked.event);
            else
                tell_place(has_told ? told : place.playhead, now);
            return;
        }
        const int64_t moved = place.playhead - told;
        const bool far = moved < 0 || moved * 1000 >= REPORT_AFTER.count() * int64_t(hello.sample_rate);
        if (!has_told || far || now - told_at >= BEAT)
            tell_place(place.playhead, now);
    }

    // A bounce waits for the audio up to there; until it has come the host's clock stands.
    bool ask(const Event& event)
    {
        const int64_t until = event.at_sample + int64_t(event.amount);
        const auto free = uint32_t(event.amount);
        const uint32_t first = asked.open ? asked.first : sequence;
        if (!post(pack_sync(event.at_sample, free, until, session, sequence)))
            return false;
        asked = {true, first, event};
        told = event.at_sample;
        told_at = Clock::now();
        has_told = true;
        credit = free;
        return true;
    }

    void be_answered(const Received& message)
    {
        if (!asked.open || message.as<descant_synced>().refers_to - asked.first >= sequence - asked.first)
            return;
        asked.open = false;
        shared.answered.store(asked.event.index, std::memory_order_release);
    }

    bool tell_place(int64_t playhead, Clock::time_point now)
    {
        if (!post(pack_heartbeat(playhead, for_bounce ? credit : uint32_t(shared.ring_samples), jumps, session, sequence)))
            return false;
        told = playhead;
        told_at = now;
        has_told = true;
        return true;
    }

    void wait()
    {
        if (!socket) {
            std::this_thread::sleep_for(IDLE_TURN);
            return;
        }
        zmq::pollitem_t item{socket->handle(), 0, ZMQ_POLLIN, 0};
        zmq::poll(&item, 1, for_bounce ? BOUNCE_TURN : live() ? LIVE_TURN : IDLE_TURN);
    }

    bool post(const Parts& parts)
    {
        if (!socket || parts.empty())
            return false;
        for (size_t i = 0; i < parts.size(); ++i) {
            const auto more = i + 1 < parts.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
            if (!socket->send(zmq::buffer(parts[i]), more | zmq::send_flags::dontwait))
                return false; // refused at the first part: never half a message
        }
        ++sequence;
        return true;
    }

    bool receive()
    {
        std::vector<zmq::message_t> messages;
        std::vector<std::string_view> views;
        do {
            messages.emplace_back();
            if (!socket->recv(messages.back(), zmq::recv_flags::dontwait))
                return false;
            if (messages.size() > DESCANT_MAX_PARTS + 1)
                messages.pop_back(); // longer than any message: read on, to its end
        } while (socket->get(zmq::sockopt::rcvmore));
        for (const zmq::message_t& message : messages)
            views.emplace_back(static_cast<const char*>(message.data()), message.size());
        Received message;
        if (unpack(views, message))
            take(message);
        else
            count(report.malformed);
        return true;
    }

    void take(const Received& message)
    {
        const bool ours = session && message.header.session == session;
        switch (message.header.type) {
        case DESCANT_AUDIO:
        case DESCANT_HEARTBEAT:
            if (!ours)
                return;
            heard = Clock::now();
            if (state() == LinkState::LOST && !to_greet)
                set(live_state);
            if (message.header.type == DESCANT_AUDIO)
                queue(message);
            return;
        case DESCANT_SYNCED:
            if (ours)
                be_answered(message);
            return;
        case DESCANT_WELCOME:
            return enter(message);
        case DESCANT_REFUSED:
            return be_refused(message);
        case DESCANT_METER: {
            const auto meter = message.as<descant_meter>();
            report.lead_ms.store(meter.lead_ms, std::memory_order_relaxed);
            report.load.store(meter.load, std::memory_order_relaxed);
            report.control_delay_ms.store(meter.control_delay_ms_p50, std::memory_order_relaxed);
            return;
        }
        case DESCANT_FALLBACK:
            if (ours)
                shared.hold.store(message.as<descant_fallback>().manner == DESCANT_FALLBACK_MANNER_HOLD, std::memory_order_relaxed);
            return;
        case DESCANT_PLAN:
            if (ours) {
                shared.quiet_from.store(message.parts[0].empty() ? message.as<descant_plan>().from_sample : INT64_MAX, std::memory_order_relaxed);
                shared.plans.fetch_add(1, std::memory_order_release);
            }
            if (ours && report.clip == Report::SENDING && !clip.open && message.parts[0].rfind("hummed", 0) == 0)
                report.clip = Report::TAKEN;
            return;
        case DESCANT_FAULT:
            if (ours && report.clip == Report::SENDING && message.as<descant_fault>().code == HUM_FAULT)
                report.clip = Report::REFUSED;
            count(report.faults);
            return note(message);
        case DESCANT_GOODBYE:
            if (ours)
                lose();
            return;
        }
    }

    void queue(const Received& message)
    {
        const auto audio = message.as<descant_audio>();
        if (audio.channels != 1 && audio.channels != shared.channels)
            return count(report.malformed);
        AudioBlock block;
        block.at_sample = message.header.at_sample;
        block.epoch = audio.epoch;
        block.channels = audio.channels;
        block.n_samples = audio.n_samples;
        float* const floats = shared.blocks.begin(block);
        if (!floats)
            return count(report.overruns);
        std::memcpy(floats, message.parts[0].data(), message.parts[0].size());
        count(shared.blocks.commit(block) ? report.blocks : report.overruns);
    }

    void enter(const Received& message)
    {
        if (!said_hello)
            return;
        if (for_bounce && shared.turned == which && message.header.session == session) {
            heard = Clock::now(); // said twice: the bounce goes on
            to_greet = awaiting = false;
            return set(live_state);
        }
        if (welcomed)
            count(report.reconnects);
        welcomed = true;
        session = message.header.session;
        presets = lines(message.parts[3]);
        const std::string weights(message.parts[1]);
        {
            const std::lock_guard<std::mutex> lock(link.mutex_);
            if (link.settings_.weights.empty())
                link.settings_.weights = weights;
            settings.weights = link.settings_.weights;
            link.words_.clear();
        }
        live_state = settings.weights == weights ? LinkState::LIVE : LinkState::OTHER_MODEL;
        heard = Clock::now();
        has_told = to_greet = awaiting = false;
        shared.hold = false; // until this session says otherwise
        credit = 0;
        asked.open = false;
        clip.next = clip.begin; // a new session hears it from its start
        clip.index = 0;
        drain(); // of before: over
        news = keys; // a new session knows of none
        shared.blocks.commit(AudioBlock()); // epochs are counted afresh
        set(live_state);
        if (for_bounce)
            post(pack_mode(true, 0, session, sequence));
        beat();
        shared.welcomes.fetch_add(1, std::memory_order_release);
        shared.turned.store(which, std::memory_order_release);
    }

    void be_refused(const Received& message)
    {
        const auto refusal = message.as<descant_refused>();
        if (refusal.code == DESCANT_CODE_SESSION) {
            // Not if what was refused was said before the latest hello.
            if (!to_greet && refusal.refers_to - hello_sequence < 0x80000000u) {
                lose();
                to_greet = true;
            }
            return;
        }
        note(message);
        if (!live() && refusal.refers_to == hello_sequence) {
            greeted = Clock::now();
            set(refusal.code == DESCANT_CODE_VERSION ? LinkState::OTHER_VERSION : LinkState::REFUSED);
        }
    }

    void lose()
    {
        if (!live())
            return;
        set(LinkState::LOST);
        count(report.losses);
    }

    void note(const Received& message)
    {
        std::string said;
        for (const std::string_view line : message.parts)
            said += std::string(line) + "\n";
        const std::lock_guard<std::mutex> lock(link.mutex_);
        link.words_ = said;
    }

    static void count(std::atomic<uint32_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

    zmq::context_t context;
    std::unique_ptr<zmq::socket_t> socket;
    Address address;
    Hello hello;
    Settings settings;
    uint64_t version = ~uint64_t(0), session = 0;
    uint32_t sequence = 0, hello_sequence = 0, jumps = 0;
    bool to_greet = true, said_hello = false, awaiting = false, welcomed = false, has_told = false, for_bounce = false, told_failure = false;
    struct { bool open = false; uint32_t first = 0; Event event; } asked; // of a bounce; first: its first sequence
    uint32_t credit = 0; // of a bounce
    struct {
        bool open = false;
        uint32_t number = 0, index = 0;
        int64_t at_sample = 0, begin = 0, next = 0, end = -1; // in the input; end: -1 while it is being recorded
    } clip;
    std::vector<float> piece;
    uint32_t which = 0;  // turn of the DAW's
    int64_t told = 0;
    LinkState live_state = LinkState::LIVE;
    Clock::time_point heard, greeted, looked, told_at;
    std::vector<std::string> presets;
    std::map<uint8_t, std::string> keys, news; // words of keys: those that hold, and what the session must be told
};

Link::Link(Shared& shared, Report& report, const char* const* parameter_names)
    : shared_(shared), report_(report), names_(parameter_names)
{
}

void Link::start(const Hello& hello)
{
    stop();
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        hello_ = hello;
        ++version_;
    }
    stopping_ = false;
    thread_ = std::thread([this] { run(); });
}

void Link::stop()
{
    if (!thread_.joinable())
        return;
    stopping_ = true;
    thread_.join();
    report_.state = uint32_t(LinkState::OFF);
}

Settings Link::settings() const
{
    const std::lock_guard<std::mutex> lock(mutex_);
    return settings_;
}

void Link::set_settings(const Settings& settings)
{
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool other = settings.endpoint != settings_.endpoint || settings.preset != settings_.preset || settings.model != settings_.model;
    settings_ = settings;
    version_ += other;
}

std::string Link::words() const
{
    const std::lock_guard<std::mutex> lock(mutex_);
    return words_;
}

void Link::run()
{
    ask_for_priority();
    while (!stopping_) {
        try {
            Work work(*this);
            while (!stopping_)
                work.turn();
            work.leave();
        } catch (const std::exception&) { // of ZeroMQ, or no memory: begin anew
            report_.state = uint32_t(LinkState::LOOKING);
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
        }
    }
}

} // namespace descant
