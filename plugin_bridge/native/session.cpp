// One turn of a few milliseconds after another: what is wished, what was played, what has come.

#include "session.h"

#include <cstring>
#include <thread>

#include "starter.h"

namespace descant {

namespace {
using std::chrono::milliseconds;

constexpr int MESSAGES_A_TURN = 1024;
constexpr auto LIVE_TURN = milliseconds(2), IDLE_TURN = milliseconds(10), BOUNCE_TURN = milliseconds(1);
constexpr auto SILENT = milliseconds(DESCANT_HEARTBEAT_MS) * DESCANT_HEARTBEAT_MISSES;
constexpr auto GREET_AGAIN = milliseconds(2000), LOOK_AGAIN = milliseconds(500);
constexpr uint16_t HUM_FAULT = 132; // the host's own code for a clip it cannot follow (host/translate.py)

void count(std::atomic<uint32_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }
} // namespace

void Session::turn()
{
    refresh();
    if (!dealer_.is_open())
        open();
    drain();
    if (in_session())
        clips_.send(hello_.sample_rate);
    greet();
    beat();
    wait();
    for (int i = 0; dealer_.is_open() && i < MESSAGES_A_TURN && receive(); ++i) {
    }
    if (live() && Clock::now() - heard_ > SILENT)
        lose();
}

void Session::leave()
{
    if (dealer_.is_open() && dealer_.session) {
        post(pack_goodbye("", dealer_.session, dealer_.sequence));
        dealer_.linger(milliseconds(100));
    }
    dealer_.close();
}

// Take over what the main thread has changed; another host is another socket, another seed another session.
void Session::refresh()
{
    const uint64_t seed = wishes_.seed.load(std::memory_order_relaxed);
    const uint32_t turns = shared_.turns.load(std::memory_order_acquire);
    const std::lock_guard<std::mutex> lock(wishes_.mutex);
    if (turns != which_) {
        which_ = turns;
        for_bounce_ = which_ & 1;
        to_greet_ = to_greet_ || dealer_.session || !awaiting_; // a session that is just being asked for will do
        if (dealer_.session)
            post(pack_goodbye(for_bounce_ ? "a bounce begins" : "a bounce ends", dealer_.session, dealer_.sequence));
        dealer_.session = 0;
        if (live())
            set(LinkState::LOOKING);
    }
    if (report_.bounce.load(std::memory_order_relaxed) == Report::FAILED && !told_failure_)
        wishes_.words = "The bounce is not complete: the host did not answer, or it was lost on the way.\n"
                         "What was bounced before is right; the rest is silence.\n"
                         "Start the host (descant host) and bounce again.\n";
    told_failure_ = report_.bounce.load(std::memory_order_relaxed) == Report::FAILED;
    if (keys_ != wishes_.settings.keys) {
        for (const auto& [key, words] : keys_)
            news_.emplace(key, ""); // taken away, if nothing follows
        keys_ = wishes_.settings.keys;
        for (const auto& [key, words] : keys_)
            news_[key] = words;
    }
    if (version_ == wishes_.version && seed == hello_.seed)
        return;
    version_ = wishes_.version;
    hello_ = wishes_.hello;
    hello_.seed = seed;
    settings_ = wishes_.settings;
    hello_.preset = settings_.preset;
    hello_.model = settings_.model;
    if (dealer_.is_open() && find_host(settings_.endpoint).endpoint != address_.endpoint) {
        post(pack_goodbye("", dealer_.session, dealer_.sequence));
        dealer_.close();
    }
    to_greet_ = true;
}

void Session::open()
{
    address_ = find_host(settings_.endpoint);
    looked_ = Clock::now();
    set(address_.endpoint.empty() ? LinkState::REFUSED : LinkState::LOOKING);
    if (address_.endpoint.empty())
        return;
    if (!dealer_.open(address_))
        set(LinkState::REFUSED);
    to_greet_ = true;
    said_hello_ = awaiting_ = false;
}

void Session::greet()
{
    if (!dealer_.is_open())
        return;
    const auto now = Clock::now();
    if (awaiting_ && now - greeted_ > GREET_AGAIN)
        to_greet_ = true;
    if (!to_greet_)
        return;
    hello_sequence_ = dealer_.sequence;
    if (post(pack(hello_, dealer_.session, dealer_.sequence))) {
        to_greet_ = false;
        said_hello_ = awaiting_ = true;
        greeted_ = now;
    } else if (dealer_.session == 0 && now - looked_ > LOOK_AGAIN) { // nobody there: perhaps the host is elsewhere
        looked_ = now;
        const Address now_at = find_host(settings_.endpoint);
        if (now_at.endpoint != address_.endpoint)
            dealer_.close();
        else if (!now_at.program.empty())
            start_host(now_at.program, now_at.endpoint);
    }
}

// What the audio thread said: sent if there is a session, otherwise over. A bounce whose host is lost waits for it.
void Session::drain(bool over)
{
    if (in_session() && !tell_keys())
        return; // what is played would not find its words
    while (const Event* event = shared_.events.front()) {
        if (event->kind == Event::JUMP)
            credit_.jumps = event->index;
        if (event->kind == Event::CLIP_BEGIN || event->kind == Event::CLIP_END) {
            clips_.follow(*event); // sent once there is a session: the last minute is kept
        } else if (in_session()) {
            if (!say(*event))
                return; // the socket is full: later
        } else if (for_bounce_ && dealer_.session && state() == LinkState::LOST && !over) {
            return;
        } else if (event->kind != Event::JUMP) {
            count(report_.unsent);
        }
        shared_.events.pop();
    }
}

bool Session::tell_keys()
{
    const int64_t at = Place::unpack(shared_.place.load(std::memory_order_acquire)).playhead;
    for (auto row = news_.begin(); row != news_.end(); row = news_.erase(row))
        if (!post(pack_key_prompt(row->first, row->second, at, dealer_.session, dealer_.sequence)))
            return false;
    return true;
}

bool Session::say(const Event& event)
{
    if (event.kind == Event::JUMP)
        return credit_.jump(event.at_sample, for_bounce_);
    if (event.kind == Event::SYNC)
        return credit_.ask(event);
    std::string name;
    if (event.kind == Event::PARAMETER)
        name = names_[event.index];
    if (event.kind == Event::PRESET) {
        if (event.index >= presets_.size()) {
            count(report_.unsent);
            return true;
        }
        name = settings_.preset = presets_[event.index];
        const std::lock_guard<std::mutex> lock(wishes_.mutex);
        wishes_.settings.preset = name;
    }
    return post(pack(event, name, dealer_.session, dealer_.sequence));
}

void Session::beat()
{
    if (dealer_.is_open() && dealer_.session && !to_greet_)
        credit_.beat(for_bounce_, hello_.sample_rate);
}

void Session::wait()
{
    if (!dealer_.is_open()) {
        std::this_thread::sleep_for(IDLE_TURN);
        return;
    }
    dealer_.wait(for_bounce_ ? BOUNCE_TURN : live() ? LIVE_TURN : IDLE_TURN);
}

bool Session::receive()
{
    std::vector<zmq::message_t> messages;
    std::vector<std::string_view> parts;
    if (!dealer_.receive(messages, parts))
        return false;
    Received message;
    if (unpack(parts, message))
        take(message);
    else
        count(report_.malformed);
    return true;
}

void Session::take(const Received& message)
{
    const bool ours = dealer_.session && message.header.session == dealer_.session;
    switch (message.header.type) {
    case DESCANT_AUDIO:
    case DESCANT_HEARTBEAT:
        if (!ours)
            return;
        heard_ = Clock::now();
        if (state() == LinkState::LOST && !to_greet_)
            set(live_state_);
        if (message.header.type == DESCANT_AUDIO)
            queue(message);
        return;
    case DESCANT_SYNCED:
        if (ours)
            credit_.be_answered(message.as<descant_synced>().refers_to);
        return;
    case DESCANT_WELCOME:
        return enter(message);
    case DESCANT_REFUSED:
        return be_refused(message);
    case DESCANT_METER: {
        const auto meter = message.as<descant_meter>();
        report_.lead_ms.store(meter.lead_ms, std::memory_order_relaxed);
        report_.load.store(meter.load, std::memory_order_relaxed);
        report_.control_delay_ms.store(meter.control_delay_ms_p50, std::memory_order_relaxed);
        return;
    }
    case DESCANT_FALLBACK:
        if (ours)
            shared_.hold.store(message.as<descant_fallback>().manner == DESCANT_FALLBACK_MANNER_HOLD, std::memory_order_relaxed);
        return;
    case DESCANT_PLAN:
        if (ours) {
            shared_.quiet_from.store(message.parts[0].empty() ? message.as<descant_plan>().from_sample : INT64_MAX, std::memory_order_relaxed);
            shared_.plans.fetch_add(1, std::memory_order_release);
        }
        if (ours && report_.clip == Report::SENDING && !clips_.open() && message.parts[0].rfind("hummed", 0) == 0)
            report_.clip = Report::TAKEN;
        return;
    case DESCANT_FAULT:
        if (ours && report_.clip == Report::SENDING && message.as<descant_fault>().code == HUM_FAULT)
            report_.clip = Report::REFUSED;
        count(report_.faults);
        return note(message);
    case DESCANT_GOODBYE:
        if (ours)
            lose();
        return;
    }
}

void Session::queue(const Received& message)
{
    const auto audio = message.as<descant_audio>();
    if (audio.channels != 1 && audio.channels != shared_.channels)
        return count(report_.malformed);
    AudioBlock block;
    block.at_sample = message.header.at_sample;
    block.epoch = audio.epoch;
    block.channels = audio.channels;
    block.n_samples = audio.n_samples;
    float* const floats = shared_.blocks.begin(block);
    if (!floats)
        return count(report_.overruns);
    std::memcpy(floats, message.parts[0].data(), message.parts[0].size());
    count(shared_.blocks.commit(block) ? report_.blocks : report_.overruns);
}

void Session::enter(const Received& message)
{
    if (!said_hello_)
        return;
    if (for_bounce_ && shared_.turned == which_ && message.header.session == dealer_.session) {
        heard_ = Clock::now(); // said twice: the bounce goes on
        to_greet_ = awaiting_ = false;
        return set(live_state_);
    }
    if (welcomed_)
        count(report_.reconnects);
    welcomed_ = true;
    dealer_.session = message.header.session;
    presets_ = lines(message.parts[3]);
    const std::string weights(message.parts[1]);
    {
        const std::lock_guard<std::mutex> lock(wishes_.mutex);
        if (wishes_.settings.weights.empty())
            wishes_.settings.weights = weights;
        settings_.weights = wishes_.settings.weights;
        wishes_.words.clear();
    }
    live_state_ = settings_.weights == weights ? LinkState::LIVE : LinkState::OTHER_MODEL;
    heard_ = Clock::now();
    to_greet_ = awaiting_ = false;
    shared_.hold = false; // until this session says otherwise
    credit_.anew();
    clips_.anew();
    drain(true); // of before: over
    news_ = keys_; // a new session knows of none
    shared_.blocks.commit(AudioBlock()); // epochs are counted afresh
    set(live_state_);
    if (for_bounce_)
        post(pack_mode(true, 0, dealer_.session, dealer_.sequence));
    beat();
    shared_.welcomes.fetch_add(1, std::memory_order_release);
    shared_.turned.store(which_, std::memory_order_release);
}

void Session::be_refused(const Received& message)
{
    const auto refusal = message.as<descant_refused>();
    if (refusal.code == DESCANT_CODE_SESSION) {
        // Not if what was refused was said before the latest hello.
        if (!to_greet_ && refusal.refers_to - hello_sequence_ < 0x80000000u) {
            lose();
            to_greet_ = true;
        }
        return;
    }
    note(message);
    if (!live() && refusal.refers_to == hello_sequence_) {
        greeted_ = Clock::now();
        set(refusal.code == DESCANT_CODE_VERSION ? LinkState::OTHER_VERSION : LinkState::REFUSED);
    }
}

void Session::lose()
{
    if (!live())
        return;
    set(LinkState::LOST);
    count(report_.losses);
}

void Session::note(const Received& message)
{
    std::string said;
    for (const std::string_view line : message.parts)
        said += std::string(line) + "\n";
    const std::lock_guard<std::mutex> lock(wishes_.mutex);
    wishes_.words = said;
}

} // namespace descant
