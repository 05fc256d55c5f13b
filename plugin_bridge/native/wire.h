/* The wire protocol. Made by `python -m descant.plugin_bridge.wire --header`; edit plugin_bridge/wire.py instead. */
#ifndef DESCANT_WIRE_H
#define DESCANT_WIRE_H
#include <stdint.h>

#define DESCANT_PROTOCOL_VERSION 1
#define DESCANT_VERSION_FIELD 0xDE01
#define DESCANT_MAX_PARTS 5
#define DESCANT_MAX_PART_BYTES 1048576
#define DESCANT_MAX_CHANNELS 8
#define DESCANT_MAX_BLOCK_SAMPLES 16384
#define DESCANT_MAX_ABS_SAMPLE 64.0f
#define DESCANT_MAX_PROMPT 2000
#define DESCANT_HEARTBEAT_MS 50
#define DESCANT_HEARTBEAT_MISSES 3

enum descant_type {
    DESCANT_HELLO = 1,
    DESCANT_WELCOME = 2,
    DESCANT_REFUSED = 3,
    DESCANT_HEARTBEAT = 4,
    DESCANT_GOODBYE = 5,
    DESCANT_MODE = 6,
    DESCANT_SYNC = 7,
    DESCANT_RECOUNT = 8,
    DESCANT_TRIGGER = 16,
    DESCANT_NOTE_ON = 17,
    DESCANT_NOTE_OFF = 18,
    DESCANT_CONTROL = 19,
    DESCANT_PROGRAM = 20,
    DESCANT_PARAMETER = 21,
    DESCANT_PROMPT = 22,
    DESCANT_PRESET = 23,
    DESCANT_TRANSPORT = 24,
    DESCANT_CAPTURE = 25,
    DESCANT_BEND = 26,
    DESCANT_KEY_PROMPT = 27,
    DESCANT_MIX = 28,
    DESCANT_AUDIO = 32,
    DESCANT_PLAN = 33,
    DESCANT_METER = 34,
    DESCANT_FAULT = 35,
    DESCANT_SYNCED = 36,
    DESCANT_FALLBACK = 37,
    DESCANT_NOTED = 38,
};

enum descant_code {
    DESCANT_CODE_NOT_DESCANT = 1,
    DESCANT_CODE_VERSION = 2,
    DESCANT_CODE_TYPE = 3,
    DESCANT_CODE_DIRECTION = 4,
    DESCANT_CODE_PARTS = 5,
    DESCANT_CODE_SIZE = 6,
    DESCANT_CODE_RANGE = 7,
    DESCANT_CODE_NOT_FINITE = 8,
    DESCANT_CODE_TEXT = 9,
    DESCANT_CODE_SESSION = 10,
    DESCANT_CODE_BUSY = 11,
    DESCANT_CODE_ENDPOINT = 16,
    DESCANT_CODE_TIMEOUT = 17,
    DESCANT_CODE_LOST = 18,
    DESCANT_CODE_FULL = 19,
    DESCANT_CODE_CLOSED = 20,
    DESCANT_CODE_HOST = 64,
    DESCANT_CODE_MODEL = 65,
    DESCANT_CODE_PRESET = 66,
    DESCANT_CODE_PARAMETER = 67,
    DESCANT_CODE_CAPTURE = 68,
    DESCANT_CODE_ENGINE_LATE = 72,
    DESCANT_CODE_ENGINE_LOST = 73,
    DESCANT_CODE_ENGINE_RESTARTED = 74,
    DESCANT_CODE_OVERLOAD = 75,
};

#pragma pack(push, 1)

/* Before every message. */
struct descant_header {
    uint16_t version;
    uint16_t type;
    uint64_t session;
    uint32_t sequence;
    int64_t at_sample;
};

/* hello, from bridge. First message, and again after a loss (then with the old session in the header). Empty model or preset: the host's default. lead_ms: audio wanted ahead of the playhead; commit_ms: its part that can no longer change; 0: as the preset says. Then 3 raw part(s): client, model, preset. */
struct descant_hello {
    uint32_t sample_rate; /* 8000 to 384000 */
    uint32_t block_size; /* 1 to 65536 */
    uint8_t channels; /* 1 to 8 */
    uint32_t lead_ms; /* 0 to 60000 */
    uint32_t commit_ms; /* 0 to 60000 */
    uint64_t seed; /* 0 to 18446744073709551615 */
};

/* welcome, from host. Answer to hello; the session stands in the header. protocol: the version spoken from now on. sample_rate, block_size, channels: the client's, as agreed. controls: what the model listens to. Then 4 raw part(s): model, weights_hash, controls, presets. */
struct descant_welcome {
    uint16_t protocol; /* 1 to 255 */
    uint32_t sample_rate; /* 8000 to 384000 */
    uint32_t block_size; /* 1 to 65536 */
    uint8_t channels; /* 1 to 8 */
};

/* refused, from host. A message, or a hello, was not accepted. code: why. refers_to: the sequence of what was refused. version_low..version_high: the protocol versions that would work. Readable by every version, for ever. Then 3 raw part(s): what, still, do. */
struct descant_refused {
    uint16_t code; /* 0 to 65535 */
    uint32_t refers_to; /* 0 to 4294967295 */
    uint16_t version_low; /* 1 to 255 */
    uint16_t version_high; /* 1 to 255 */
};

/* heartbeat, from both. Sign of life from a work loop, every 50 ms; three missed are a loss. From a bridge also its credit: playhead: the sample heard next. free_samples: how many samples from the playhead on it accepts. jumps: how often so far the playhead was moved instead of played on (a rewind, a loop, a leap beyond what has come): when it changes, all that is not heard yet is made again from the new place. */
struct descant_heartbeat {
    int64_t playhead; /* -9007199254740992 to 9007199254740992 */
    uint32_t free_samples; /* 0 to 4294967295 */
    uint32_t jumps; /* 0 to 4294967295 */
};

/* goodbye, from both. The sender leaves; its session is closed at once. Then 1 raw part(s): reason. */

/* mode, from bridge. Real time, or offline: the client reads as fast as audio comes, and waits for it. */
enum descant_mode_mode { DESCANT_MODE_MODE_REALTIME = 0, DESCANT_MODE_MODE_OFFLINE = 1 };
struct descant_mode {
    uint8_t mode; /* enum descant_mode_mode */
};

/* sync, from bridge. Offline: the bridge waits for audio. playhead, free_samples: as in a heartbeat, whose place it takes. until: what it reads next ends before this sample. The host answers with `synced` once it has followed all that was said before and sent what is heard before `until`. */
struct descant_sync {
    int64_t playhead; /* -9007199254740992 to 9007199254740992 */
    uint32_t free_samples; /* 0 to 4294967295 */
    int64_t until; /* -9007199254740992 to 9007199254740992 */
};

/* recount, from bridge. The bridge keeps a record: it wants to be told, by `noted`, of all that the session has taken in and takes in from now on. */

/* trigger, from bridge. A pad. slot: which. */
enum descant_trigger_action { DESCANT_TRIGGER_ACTION_PRESS = 0, DESCANT_TRIGGER_ACTION_RELEASE = 1 };
struct descant_trigger {
    uint8_t slot; /* 0 to 127 */
    uint8_t velocity; /* 0 to 127 */
    uint8_t action; /* enum descant_trigger_action */
};

/* note_on, from bridge. A key goes down. Velocity 0 does not exist here: send note_off. */
struct descant_note_on {
    uint8_t midi_channel; /* 0 to 15 */
    uint8_t key; /* 0 to 127 */
    uint8_t velocity; /* 1 to 127 */
};

/* note_off, from bridge. A key comes up. */
struct descant_note_off {
    uint8_t midi_channel; /* 0 to 15 */
    uint8_t key; /* 0 to 127 */
    uint8_t velocity; /* 0 to 127 */
};

/* control, from bridge. A MIDI control change. */
struct descant_control {
    uint8_t midi_channel; /* 0 to 15 */
    uint8_t controller; /* 0 to 127 */
    uint8_t value; /* 0 to 127 */
};

/* program, from bridge. A MIDI program change. */
struct descant_program {
    uint8_t midi_channel; /* 0 to 15 */
    uint8_t program; /* 0 to 127 */
};

/* parameter, from bridge. One automatable number of the session, by name. Then 1 raw part(s): name. */
struct descant_parameter {
    double value; /* -1000000000.0 to 1000000000.0 */
};

/* prompt, from bridge. The words bound to a slot, 1 to 2000 characters. Then 1 raw part(s): text. */
struct descant_prompt {
    uint8_t slot; /* 0 to 127 */
};

/* preset, from bridge. Change to the named preset. Then 1 raw part(s): name. */

/* transport, from bridge. The DAW's transport from at_sample on. tempo: quarter notes per minute. beat: quarter notes from song start at at_sample. numerator/denominator: the metre. loop_start..loop_end: beats, used when looping. */
struct descant_transport {
    double tempo; /* 1 to 1000 */
    double beat; /* -1000000000.0 to 1000000000.0 */
    uint8_t numerator; /* 1 to 64 */
    uint8_t denominator; /* 1 to 64 */
    uint8_t playing; /* 0 or 1 */
    double loop_start; /* -1000000000.0 to 1000000000.0 */
    double loop_end; /* -1000000000.0 to 1000000000.0 */
    uint8_t looping; /* 0 or 1 */
};

/* capture, from bridge. A piece of audio into the host. clip: which clip; index: which piece of it, from 0; last: it is complete. sample_rate: of this audio, Hz. role: a melody clip to follow, or the live input. wave: [C, n] float32. Then 1 raw part(s): wave. */
enum descant_capture_role { DESCANT_CAPTURE_ROLE_MELODY = 0, DESCANT_CAPTURE_ROLE_LIVE = 1 };
struct descant_capture {
    uint32_t clip; /* 0 to 4294967295 */
    uint32_t sample_rate; /* 8000 to 384000 */
    uint32_t index; /* 0 to 4294967295 */
    uint8_t last; /* 0 or 1 */
    uint8_t role; /* enum descant_capture_role */
    uint8_t channels;
    uint32_t n_samples;
};

/* bend, from bridge. The pitch bend wheel. value: 14 bits; 8192 is its rest. */
struct descant_bend {
    uint8_t midi_channel; /* 0 to 15 */
    uint16_t value; /* 0 to 16383 */
};

/* key_prompt, from bridge. The words that a key plays from now on, whatever the preset says of it, up to 2000 characters; none: what the preset says. Nothing starts by it. Then 1 raw part(s): text. */
struct descant_key_prompt {
    uint8_t key; /* 0 to 127 */
};

/* mix, from bridge. How much of each of the pads 0..5 is in the words from now on, by weight, in the place of what the parameters xy, x and y say; all 0: what those say. A pad that is missing or a stop is passed over. */
struct descant_mix {
    float pad_0; /* 0 to 1 */
    float pad_1; /* 0 to 1 */
    float pad_2; /* 0 to 1 */
    float pad_3; /* 0 to 1 */
    float pad_4; /* 0 to 1 */
    float pad_5; /* 0 to 1 */
};

/* audio, from host. Audio addressed by the header's at_sample, at the client's rate. A later epoch replaces the earlier audio from its first sample on. wave: [C, n] float32, full scale 1.0. Then 1 raw part(s): wave. */
struct descant_audio {
    uint32_t epoch; /* 0 to 4294967295 */
    uint8_t channels;
    uint32_t n_samples;
};

/* plan, from host. What comes: from from_sample (bar number `bar`, counted from 0) on, in words; none: silence. Then 1 raw part(s): text. */
struct descant_plan {
    uint32_t epoch; /* 0 to 4294967295 */
    int64_t from_sample; /* -9007199254740992 to 9007199254740992 */
    double bar; /* -1000000000.0 to 1000000000.0 */
};

/* meter, from host. How the session fares. lead_ms: audio ahead of the playhead. real_time_factor: time to make / time it lasts. control_delay: event to first changed sample, ms. load: busy share of the engine, 0..1 (more when late). eased: rung of the overload ladder, 0: all is made as asked. */
struct descant_meter {
    float lead_ms; /* -1000000.0 to 1000000.0 */
    float real_time_factor; /* 0 to 1000000.0 */
    uint32_t underruns; /* 0 to 4294967295 */
    float control_delay_ms_p50; /* 0 to 1000000.0 */
    float control_delay_ms_p95; /* 0 to 1000000.0 */
    float load; /* 0 to 1000.0 */
    uint8_t eased; /* 0 to 15 */
};

/* fault, from host. Something went wrong with the session. what happened, what still works, what to do: one line each. Then 3 raw part(s): what, still, do. */
enum descant_fault_severity { DESCANT_FAULT_SEVERITY_INFO = 0, DESCANT_FAULT_SEVERITY_WARNING = 1, DESCANT_FAULT_SEVERITY_ERROR = 2 };
struct descant_fault {
    uint16_t code; /* 0 to 65535 */
    uint8_t severity; /* enum descant_fault_severity */
};

/* synced, from host. Answer to `sync`: all audio that it asked for is on its way before this; what has not come is silence. refers_to: the sequence of that sync. */
struct descant_synced {
    uint32_t refers_to; /* 0 to 4294967295 */
};

/* fallback, from host. What the bridge plays from now on when no audio comes that should: nothing (a fade), or its last bar again and again. A session begins with fade. */
enum descant_fallback_manner { DESCANT_FALLBACK_MANNER_FADE = 0, DESCANT_FALLBACK_MANNER_HOLD = 1 };
struct descant_fallback {
    uint8_t manner; /* enum descant_fallback_manner */
};

/* noted, from host. What the session took in since it last told, in the order in which it did; with the model and the seed, enough to make the same samples again. entries: a line each. "event SEQUENCE CHANGEABLE" is the bridge's message of that sequence, and the first sample that could still change then; "restart AT CHANGEABLE", the stream was begun anew for being late; "ease RUNG AT CHANGEABLE", another rung of the overload ladder. complete: nothing has been left out since the session began. Then 1 raw part(s): entries. */
struct descant_noted {
    uint8_t complete; /* 0 or 1 */
};

#pragma pack(pop)

#ifdef __cplusplus
static_assert(sizeof(descant_header) == 24, "packed");
static_assert(sizeof(descant_hello) == 25, "packed");
static_assert(sizeof(descant_welcome) == 11, "packed");
static_assert(sizeof(descant_refused) == 10, "packed");
static_assert(sizeof(descant_heartbeat) == 16, "packed");
static_assert(sizeof(descant_mode) == 1, "packed");
static_assert(sizeof(descant_sync) == 20, "packed");
static_assert(sizeof(descant_trigger) == 3, "packed");
static_assert(sizeof(descant_note_on) == 3, "packed");
static_assert(sizeof(descant_note_off) == 3, "packed");
static_assert(sizeof(descant_control) == 3, "packed");
static_assert(sizeof(descant_program) == 2, "packed");
static_assert(sizeof(descant_parameter) == 8, "packed");
static_assert(sizeof(descant_prompt) == 1, "packed");
static_assert(sizeof(descant_transport) == 36, "packed");
static_assert(sizeof(descant_capture) == 19, "packed");
static_assert(sizeof(descant_bend) == 3, "packed");
static_assert(sizeof(descant_key_prompt) == 1, "packed");
static_assert(sizeof(descant_mix) == 24, "packed");
static_assert(sizeof(descant_audio) == 9, "packed");
static_assert(sizeof(descant_plan) == 20, "packed");
static_assert(sizeof(descant_meter) == 25, "packed");
static_assert(sizeof(descant_fault) == 3, "packed");
static_assert(sizeof(descant_synced) == 4, "packed");
static_assert(sizeof(descant_fallback) == 1, "packed");
static_assert(sizeof(descant_noted) == 1, "packed");
#endif

#endif
