"""
🌙 Moon Dev's Journal Schema
Built with love by Moon Dev 🚀

The tables of the journal, as a list of migrations: version n is what the first n of them make. A migration that has
been released is never changed; the next one is appended.
"""

APPLICATION_ID = 0x4D4F4F4E  # "MOON": how we know a file of ours

MIGRATIONS = (
    """
CREATE TABLE observations (
    seq INTEGER PRIMARY KEY,          -- order of arrival: children before their root
    id TEXT NOT NULL UNIQUE,          -- 16 hex digits
    trace_id TEXT NOT NULL,           -- 32 hex digits
    parent_id TEXT,
    is_root INTEGER NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    trace_name TEXT NOT NULL,
    agent TEXT,
    start_ns INTEGER NOT NULL,        -- Unix nanoseconds
    first_token_ns INTEGER,
    end_ns INTEGER,
    session_id TEXT,
    user_id TEXT,
    environment TEXT,
    release TEXT,
    provider TEXT,
    model TEXT,                       -- that answered, else asked for
    model_requested TEXT,
    model_parameters TEXT,            -- JSON, like input, output, metadata, tags, usage and cost
    input TEXT,
    output TEXT,
    metadata TEXT,
    tags TEXT,
    level TEXT NOT NULL,
    status_message TEXT,
    usage TEXT,
    cost TEXT,
    cost_usd REAL,                    -- NULL: price unknown; 0: free
    cost_source TEXT,
    destination TEXT,                 -- host|public key; NULL: local
    state TEXT NOT NULL,              -- open, local, pending, shipped, rejected
    reason TEXT,                      -- why it was rejected, in the server's words
    process TEXT NOT NULL             -- who recorded it: a token of liveness.py
);
CREATE INDEX observations_trace ON observations (trace_id);
CREATE INDEX observations_start ON observations (start_ns);
CREATE INDEX observations_state ON observations (state, start_ns);
CREATE INDEX observations_waiting ON observations (destination, seq) WHERE state = 'pending';
CREATE INDEX observations_open ON observations (process) WHERE state = 'open';
CREATE TABLE scores (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,          -- fixed: a repeat replaces
    trace_id TEXT NOT NULL,
    observation_id TEXT,
    name TEXT NOT NULL,
    data_type TEXT NOT NULL,          -- NUMERIC or CATEGORICAL
    value NOT NULL,
    comment TEXT,
    environment TEXT,
    session_id TEXT,
    timestamp_ns INTEGER NOT NULL,
    destination TEXT,
    state TEXT NOT NULL,
    reason TEXT
);
CREATE INDEX scores_trace ON scores (trace_id);
CREATE INDEX scores_waiting ON scores (destination, seq) WHERE state = 'pending';
CREATE TABLE trace_tags (
    trace_id TEXT NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (trace_id, tag)
) WITHOUT ROWID;
CREATE TABLE leases (
    name TEXT PRIMARY KEY,            -- a destination, or 'prune'
    owner TEXT NOT NULL,              -- a process
    expires_ns INTEGER NOT NULL       -- monotonic nanoseconds
) WITHOUT ROWID;
""",
)
