"""The tables of the journal, as a list of migrations in order of release.

To change the schema, append a `Migration` to `MIGRATIONS`. Agents are updated one by one, so older code goes on writing
to the migrated journal. Three rules keep this possible:

1. A released migration never changes (a test compares the checksums).
2. A migration only adds: a table, a view, an index, a trigger, or a column that may be NULL. `trace_tags`, `leases` and
   `hourly` get no columns, because older code inserts into them by position. A view or a trigger may be replaced.
3. `PRAGMA user_version` is `FORMAT`. Code with a lower `FORMAT` stops, so raise it only if older code cannot write
   after the migration. The table `migrations` has the numbers of the migrations above `FORMAT`.

Triggers update the sums of each hour (table `hourly`), which are therefore right even if older code writes. A row
counts once it has ended. An open row does not count; a row closed as interrupted counts until its true end replaces it.
Deleted rows stay counted, since their money stays spent. A provider chooses the model names in its answers, so names
are cut to 200 characters, and an hour has at most 500 sums, and one more for all further names.
"""

from typing import NamedTuple


class Migration(NamedTuple):
    """One step from an older schema to a newer one."""

    script: str
    in_pieces: bool = False  # repeat the script in separate transactions until its last statement changes nothing
    changes: str | None = None  # selects existing rows that the script will change; if it finds any, a backup is made


APPLICATION_ID = 0x4D4F4F4E  # "MOON" in ASCII; marks a file as a journal of this program
FORMAT = 2  # stored as `user_version`: code that knows fewer migrations must not write to the journal
COUNTED = (
    "calls", "errors", "priced", "unpriced", "decisions", "input", "input_cached_tokens", "input_cache_creation",
    "output", "output_reasoning_tokens", "cost_usd",
)  # fmt: skip
_BUCKETS = ("input", "input_cached_tokens", "input_cache_creation", "output", "output_reasoning_tokens")
_TOKENS = ", ".join(
    f"ifnull(json_extract(CASE WHEN json_valid(usage) THEN usage END, '$.{bucket}'), 0) AS {bucket}"
    for bucket in _BUCKETS
)
_KEY = ("hour", "agent", "provider", "model")
_SUM_UP = f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET " + ", ".join(
    f"{name} = {name} + excluded.{name}" for name in COUNTED
)
_ADD = (
    f"INSERT INTO hourly SELECT {', '.join(_KEY)}, {', '.join(f'sum({{0}}{name})' for name in COUNTED)}"
    f" FROM counted WHERE {{1}} GROUP BY {', '.join(_KEY)} {_SUM_UP}"
)
_ADD_BOUNDED = f"""
    INSERT INTO hourly SELECT hour, {", ".join(f"iif(fits, {name}, '(other)')" for name in _KEY[1:])},
        {", ".join(f"{{0}}{name}" for name in COUNTED)}
    FROM (
        SELECT *, EXISTS (SELECT 1 FROM hourly AS h WHERE {" AND ".join(f"h.{name} = c.{name}" for name in _KEY)})
            OR (SELECT count(*) FROM hourly AS h WHERE h.hour = c.hour) < 500 AS fits
        FROM counted AS c WHERE seq = {{1}}.seq
    ) WHERE true
    {_SUM_UP}"""
_LONG_NAMES = f"FROM hourly WHERE {' OR '.join(f'length({name}) > 200' for name in _KEY[1:])}"
_SOME_LONG_NAMES = f"{_LONG_NAMES} ORDER BY {', '.join(_KEY)} LIMIT 200"

_INFERRED = "ifnull(json_extract({0}.metadata, '$.signal_inferred'), 0)"  # recording/inference.py sets this field
_LAST_CALL = """
    CASE o.type WHEN 'generation' THEN o.{0} ELSE (SELECT g.{0} FROM observations AS g WHERE g.trace_id = o.trace_id
        AND g.type = 'generation' AND g.start_ns <= o.start_ns ORDER BY g.start_ns DESC LIMIT 1) END AS {0}"""

_NUMBER = "CASE WHEN typeof({0}) IN ('integer', 'real') AND abs({0}) < 9e999 THEN {0} END AS {0}"
_TEXT = "CASE WHEN typeof({0}) = 'text' THEN substr({0}, 1, 200) END AS {0}"
_IS_JUDGED = "is_trade AND stands AND NOT inferred"
# With LIMIT -1 (no limit), SQLite computes each column of the inner query only once.
_DECIDE = f"""INSERT INTO decided
    SELECT start_ns, seq, trace_id, agent, model, action, symbol, confidence, stands, pnl_usd, pnl_pct,
        CASE WHEN {_IS_JUDGED} THEN ifnull(pnl_usd, pnl_pct) > 0 END, CASE WHEN {_IS_JUDGED} THEN pnl_usd END
    FROM (SELECT start_ns, seq, trace_id, agent, model, {_TEXT.format("action")}, {_TEXT.format("symbol")},
            {_NUMBER.format("confidence")}, is_trade, inferred, stands, {_NUMBER.format("pnl_usd")},
            {_NUMBER.format("pnl_pct")}
        FROM (SELECT * FROM decisions WHERE {{0}} LIMIT -1) LIMIT -1)"""
_CURSOR = "(SELECT seq FROM cursors WHERE name = 'decided')"
_DECIDE_AGAIN = f"""
    DELETE FROM decided WHERE trace_id = {{0}}.trace_id;
    {_DECIDE.format("trace_id = {0}.trace_id")};
"""
# SQL for the name under which a model's calls are counted. This is the name in the provider's answers, if known, since
# the requested name may be an alias. The SQL reads the columns `provider` and `model`.
MODEL = (
    "ifnull((SELECT answered FROM model_names WHERE of_provider = ifnull(provider, '') AND requested = model), model)"
)
# A router's name (`openrouter/auto`) is not an alias of one model: each call may use another model.
_IS_ALIASED = "new.model <> new.model_requested AND new.state <> 'open' AND new.model_requested NOT LIKE 'openrouter/%'"
_SAME_ALIAS = "of_provider = ifnull(new.provider, '') AND requested = new.model_requested"
_SOURCES = {"agent": "agent", "provider": "provider", "model": MODEL}
PROMPT = "prompt_name || ' v' || prompt_version"  # SQL for name and version of a prompt managed in Langfuse

MIGRATIONS = (
    Migration("""
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
"""),
    Migration(f"""
CREATE VIEW counted AS                -- what one ended observation adds to the sums
SELECT seq, start_ns, start_ns / 3600000000000 AS hour,
    ifnull(agent, '') AS agent, ifnull(provider, '') AS provider, ifnull(model, '') AS model, session_id,
    type = 'generation' AS calls,
    type = 'generation' AND level = 'ERROR' AS errors,
    type = 'generation' AND cost_usd IS NOT NULL AS priced,
    type = 'generation' AND cost_usd IS NULL AND level <> 'ERROR' AS unpriced,
    type = 'event' AS decisions,
    {_TOKENS},
    ifnull(cost_usd, 0.0) AS cost_usd
FROM observations WHERE state <> 'open' AND (type = 'generation' OR type = 'event' AND name = 'trading_signal');
CREATE TABLE hourly (
    hour INTEGER NOT NULL,            -- since 1970-01-01 00:00 UTC
    agent TEXT NOT NULL,              -- '': unknown, like provider and model
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    {", ".join(f"{name} NOT NULL" for name in COUNTED)},
    PRIMARY KEY (hour, agent, provider, model)
) WITHOUT ROWID;
CREATE TRIGGER observations_ended AFTER INSERT ON observations WHEN new.state <> 'open' BEGIN
    {_ADD.format("+", "seq = new.seq")};
END;
CREATE TRIGGER observations_closed AFTER UPDATE OF state ON observations
WHEN old.state = 'open' AND new.state <> 'open' BEGIN
    {_ADD.format("+", "seq = new.seq")};
END;
CREATE TRIGGER observations_reopened BEFORE UPDATE OF state ON observations
WHEN old.state <> 'open' AND new.state = 'open' BEGIN
    {_ADD.format("-", "seq = old.seq")};
END;
{_ADD.format("+", "true")};
CREATE INDEX observations_signals ON observations (start_ns) WHERE name = 'trading_signal';
CREATE INDEX scores_state ON scores (state);
"""),
    Migration("CREATE TABLE migrations (number INTEGER PRIMARY KEY);  -- those beyond FORMAT that were run"),
    Migration(f"""
CREATE VIEW attributed AS             -- observations with a model: a call's own, else that of the last call before it
SELECT o.seq, o.id, o.trace_id, o.parent_id, o.session_id, o.agent, o.type, o.name, o.level, o.status_message, o.state,
    o.start_ns, o.end_ns, o.metadata, {_LAST_CALL.format("provider")}, {_LAST_CALL.format("model")}
FROM observations AS o;
CREATE VIEW decisions AS              -- signals. `stands`: the trace's cost and outcome belong to this one
SELECT d.seq, d.trace_id, d.session_id, d.agent, d.provider, d.model, d.start_ns, d.level, d.metadata,
    json_extract(d.metadata, '$.signal_action') AS action,
    json_extract(d.metadata, '$.signal_confidence') AS confidence,
    json_extract(d.metadata, '$.trading_symbol') AS symbol,
    json_extract(d.metadata, '$.signal_valid') AS valid,
    {_INFERRED.format("d")} AS inferred,
    json_extract(d.metadata, '$.signal_valid') AND json_extract(d.metadata, '$.signal_action') IN ('BUY', 'SELL')
        AS is_trade,
    d.seq = (SELECT s.seq FROM observations AS s WHERE s.trace_id = d.trace_id AND s.name = 'trading_signal'
        AND s.type = 'event' ORDER BY NOT {_INFERRED.format("s")} DESC, json_extract(s.metadata, '$.signal_valid')
            AND json_extract(s.metadata, '$.signal_action') IN ('BUY', 'SELL') DESC, s.seq DESC LIMIT 1) AS stands,
    (SELECT value FROM scores AS p WHERE p.trace_id = d.trace_id AND p.name = 'pnl_usd' LIMIT 1) AS pnl_usd,
    (SELECT value FROM scores AS p WHERE p.trace_id = d.trace_id AND p.name = 'pnl_pct' LIMIT 1) AS pnl_pct
FROM attributed AS d WHERE d.name = 'trading_signal' AND d.type = 'event' AND NOT (  -- the trace's own replace it
    {_INFERRED.format("d")} AND EXISTS (SELECT 1 FROM observations AS w WHERE w.trace_id = d.trace_id
        AND w.name = 'trading_signal' AND w.type = 'event' AND NOT {_INFERRED.format("w")})
);
"""),
    Migration(f"""
DROP VIEW counted;
CREATE VIEW counted AS
SELECT seq, start_ns, start_ns / 3600000000000 AS hour,
    {", ".join(f"substr(ifnull({name}, ''), 1, 200) AS {name}" for name in _KEY[1:])}, session_id,
    type = 'generation' AS calls,
    type = 'generation' AND level = 'ERROR' AS errors,
    type = 'generation' AND cost_usd IS NOT NULL AS priced,
    type = 'generation' AND cost_usd IS NULL AND level <> 'ERROR' AS unpriced,
    type = 'event' AS decisions,
    {_TOKENS},
    ifnull(cost_usd, 0.0) AS cost_usd
FROM observations WHERE state <> 'open' AND (type = 'generation' OR type = 'event' AND name = 'trading_signal');
DROP TRIGGER observations_ended;
CREATE TRIGGER observations_ended AFTER INSERT ON observations WHEN new.state <> 'open' BEGIN
    {_ADD_BOUNDED.format("+", "new")};
END;
DROP TRIGGER observations_closed;
CREATE TRIGGER observations_closed AFTER UPDATE OF state ON observations
WHEN old.state = 'open' AND new.state <> 'open' BEGIN
    {_ADD_BOUNDED.format("+", "new")};
END;
DROP TRIGGER observations_reopened;
CREATE TRIGGER observations_reopened BEFORE UPDATE OF state ON observations
WHEN old.state <> 'open' AND new.state = 'open' BEGIN
    {_ADD_BOUNDED.format("-", "old")};
END;
"""),
    Migration(f"""
INSERT INTO hourly SELECT hour, {", ".join(f"substr({name}, 1, 200)" for name in _KEY[1:])},
    {", ".join(f"sum({name})" for name in COUNTED)}
FROM (SELECT * {_SOME_LONG_NAMES}) WHERE true GROUP BY 1, 2, 3, 4
{_SUM_UP};
DELETE FROM hourly WHERE ({", ".join(_KEY)}) IN (SELECT {", ".join(_KEY)} {_SOME_LONG_NAMES});
""", in_pieces=True, changes=f"SELECT 1 {_LONG_NAMES}"),
    Migration("""
ALTER TABLE observations ADD COLUMN otlp_destination TEXT;
CREATE TABLE further_deliveries (     -- ended observations at destinations beside their own
    seq INTEGER NOT NULL,             -- of the observation
    destination TEXT NOT NULL,
    state TEXT NOT NULL,              -- pending, shipped, rejected
    reason TEXT,
    PRIMARY KEY (seq, destination)
) WITHOUT ROWID;
CREATE INDEX further_deliveries_state ON further_deliveries (destination, state, seq);
CREATE TRIGGER observations_closed_addressed AFTER UPDATE OF state ON observations
WHEN new.otlp_destination IS NOT NULL AND old.state = 'open' AND new.state <> 'open' BEGIN
    INSERT OR REPLACE INTO further_deliveries VALUES (new.seq, new.otlp_destination, 'pending', NULL);
END;
CREATE TRIGGER observations_reopened_addressed BEFORE UPDATE OF state ON observations
WHEN old.otlp_destination IS NOT NULL AND old.state <> 'open' AND new.state = 'open' BEGIN
    DELETE FROM further_deliveries WHERE seq = old.seq;
END;
CREATE TRIGGER observations_deleted AFTER DELETE ON observations WHEN old.otlp_destination IS NOT NULL BEGIN
    DELETE FROM further_deliveries WHERE seq = old.seq;
END;
CREATE VIEW deliveries AS             -- what became of each row at each of its destinations
SELECT 'observations' AS kind, seq, id, start_ns AS at_ns, destination, state, reason FROM observations
WHERE destination IS NOT NULL AND state <> 'open'
UNION ALL SELECT 'scores', seq, id, timestamp_ns, destination, state, reason FROM scores WHERE destination IS NOT NULL
UNION ALL SELECT 'observations', f.seq, o.id, o.start_ns, f.destination, f.state, f.reason
FROM further_deliveries AS f JOIN observations AS o USING (seq);
"""),
    Migration("""
CREATE TABLE projects (
    destination TEXT PRIMARY KEY,     -- host|public key
    id TEXT NOT NULL                  -- of the Langfuse project, as in the addresses of its pages
) WITHOUT ROWID;
"""),
    Migration(f"""
CREATE INDEX observations_failed ON observations (start_ns) WHERE level = 'ERROR';
CREATE TABLE decided (                -- the view `decisions` in narrow rows, quick to read
    start_ns INTEGER NOT NULL,
    seq INTEGER NOT NULL,             -- of the signal
    trace_id TEXT NOT NULL,
    agent TEXT,
    model TEXT,                       -- stays when its call is deleted before the signal
    action TEXT,
    symbol TEXT,
    confidence REAL,
    stands,
    pnl_usd REAL,
    pnl_pct REAL,
    hit,                              -- of a BUY or SELL that was not inferred: 1 profit, 0 none, NULL no outcome
    usd REAL,                         -- its profit or loss
    PRIMARY KEY (start_ns, seq)
) WITHOUT ROWID;
CREATE INDEX decided_trace ON decided (trace_id);
CREATE INDEX decided_symbol ON decided (symbol, start_ns);
CREATE INDEX decided_hit ON decided (start_ns, agent, model, action, symbol, confidence, hit, usd)
WHERE hit IS NOT NULL;
CREATE TRIGGER decided_by_signal AFTER INSERT ON observations
WHEN new.name = 'trading_signal' AND new.type = 'event'
    OR new.type = 'generation' AND EXISTS (SELECT 1 FROM decided WHERE trace_id = new.trace_id) BEGIN
    {_DECIDE_AGAIN.format("new")}
END;
CREATE TRIGGER decided_deleted AFTER DELETE ON observations WHEN old.name = 'trading_signal' BEGIN
    {_DECIDE_AGAIN.format("old")}
END;
CREATE TRIGGER decided_by_outcome AFTER INSERT ON scores WHEN new.name IN ('pnl_usd', 'pnl_pct') BEGIN
    {_DECIDE_AGAIN.format("new")}
END;
CREATE TRIGGER decided_outcome_deleted AFTER DELETE ON scores WHEN old.name IN ('pnl_usd', 'pnl_pct') BEGIN
    {_DECIDE_AGAIN.format("old")}
END;
"""),
    Migration("""
CREATE TABLE cursors (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;  -- of migrations in pieces
INSERT INTO cursors VALUES ('decided', 0);
"""),
    Migration(f"""
{_DECIDE.format(f"seq > {_CURSOR} AND seq <= {_CURSOR} + 5000")} WHERE true ON CONFLICT DO NOTHING;
UPDATE cursors SET seq = seq + 5000 WHERE name = 'decided' AND seq < (SELECT max(seq) FROM observations);
""", in_pieces=True),
    Migration(f"""
ALTER TABLE observations ADD COLUMN prompt_name TEXT;
ALTER TABLE observations ADD COLUMN prompt_version INTEGER;
ALTER TABLE observations ADD COLUMN experiment TEXT;  -- JSON: the attributes of a Langfuse experiment
CREATE TABLE model_names (            -- how providers answer to the name of a model that is an alias
    of_provider TEXT NOT NULL,
    requested TEXT NOT NULL,
    answered TEXT NOT NULL,           -- the last one
    PRIMARY KEY (of_provider, requested)
) WITHOUT ROWID;
CREATE TRIGGER observations_answered AFTER INSERT ON observations
WHEN {_IS_ALIASED} AND NOT EXISTS (SELECT 1 FROM model_names WHERE {_SAME_ALIAS}) BEGIN
    INSERT INTO model_names VALUES (ifnull(new.provider, ''), new.model_requested, new.model);
    INSERT INTO hourly SELECT hour, agent, provider, substr(new.model, 1, 200), {", ".join(COUNTED)} FROM hourly
        WHERE provider = ifnull(new.provider, '') AND model = new.model_requested {_SUM_UP};
    DELETE FROM hourly WHERE provider = ifnull(new.provider, '') AND model = new.model_requested;
END;
CREATE TRIGGER observations_answered_anew AFTER INSERT ON observations
WHEN {_IS_ALIASED} AND EXISTS (SELECT 1 FROM model_names WHERE {_SAME_ALIAS} AND answered <> new.model) BEGIN
    UPDATE model_names SET answered = new.model WHERE {_SAME_ALIAS};
END;
DROP VIEW counted;
CREATE VIEW counted AS
SELECT seq, start_ns, start_ns / 3600000000000 AS hour,
    {", ".join(f"substr(ifnull({source}, ''), 1, 200) AS {name}" for name, source in _SOURCES.items())}, session_id,
    {PROMPT} AS prompt,
    type = 'generation' AS calls,
    type = 'generation' AND level = 'ERROR' AS errors,
    type = 'generation' AND cost_usd IS NOT NULL AS priced,
    type = 'generation' AND cost_usd IS NULL AND level <> 'ERROR' AS unpriced,
    type = 'event' AS decisions,
    {_TOKENS},
    ifnull(cost_usd, 0.0) AS cost_usd
FROM observations WHERE state <> 'open' AND (type = 'generation' OR type = 'event' AND name = 'trading_signal');
DROP VIEW decisions;
DROP VIEW attributed;
CREATE VIEW attributed AS             -- observations with a model: a call's own, else that of the last call before it
SELECT o.seq, o.id, o.trace_id, o.parent_id, o.session_id, o.agent, o.type, o.name, o.level, o.status_message, o.state,
    o.start_ns, o.end_ns, o.metadata, {_LAST_CALL.format("provider")}, {_LAST_CALL.format("model")},
    {_LAST_CALL.format("prompt_name")}, {_LAST_CALL.format("prompt_version")}
FROM observations AS o;
CREATE VIEW decisions AS              -- signals. `stands`: the trace's cost and outcome belong to this one
SELECT d.seq, d.trace_id, d.session_id, d.agent, d.provider, d.model, d.prompt_name, d.prompt_version,
    d.start_ns, d.level, d.metadata,
    json_extract(d.metadata, '$.signal_action') AS action,
    json_extract(d.metadata, '$.signal_confidence') AS confidence,
    json_extract(d.metadata, '$.trading_symbol') AS symbol,
    json_extract(d.metadata, '$.signal_valid') AS valid,
    {_INFERRED.format("d")} AS inferred,
    json_extract(d.metadata, '$.signal_valid') AND json_extract(d.metadata, '$.signal_action') IN ('BUY', 'SELL')
        AS is_trade,
    d.seq = (SELECT s.seq FROM observations AS s WHERE s.trace_id = d.trace_id AND s.name = 'trading_signal'
        AND s.type = 'event' ORDER BY NOT {_INFERRED.format("s")} DESC, json_extract(s.metadata, '$.signal_valid')
            AND json_extract(s.metadata, '$.signal_action') IN ('BUY', 'SELL') DESC, s.seq DESC LIMIT 1) AS stands,
    (SELECT value FROM scores AS p WHERE p.trace_id = d.trace_id AND p.name = 'pnl_usd' LIMIT 1) AS pnl_usd,
    (SELECT value FROM scores AS p WHERE p.trace_id = d.trace_id AND p.name = 'pnl_pct' LIMIT 1) AS pnl_pct
FROM attributed AS d WHERE d.name = 'trading_signal' AND d.type = 'event' AND NOT (  -- the trace's own replace it
    {_INFERRED.format("d")} AND EXISTS (SELECT 1 FROM observations AS w WHERE w.trace_id = d.trace_id
        AND w.name = 'trading_signal' AND w.type = 'event' AND NOT {_INFERRED.format("w")})
);
"""),
    Migration("""
CREATE TABLE budget_periods (         -- what was spent of each budget in each of its periods, by all processes
    budget TEXT NOT NULL,             -- scope, unit, period and time zone
    start_ns INTEGER NOT NULL,        -- Unix nanoseconds
    spent REAL NOT NULL,              -- USD, tokens or calls
    unpriced INTEGER NOT NULL,        -- calls whose amount is an estimate
    PRIMARY KEY (budget, start_ns)
) WITHOUT ROWID;
CREATE TABLE budget_cursors (budget TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;  -- counted up to here
CREATE TABLE budget_slices (          -- what each process may still spend without asking
    budget TEXT NOT NULL,
    process TEXT NOT NULL,
    amount REAL NOT NULL,
    PRIMARY KEY (budget, process)
) WITHOUT ROWID;
CREATE TABLE budget_raises (          -- by an operator, for a while
    budget TEXT NOT NULL,
    amount REAL NOT NULL,
    from_ns INTEGER NOT NULL,
    until_ns INTEGER NOT NULL
);
"""),
)  # fmt: skip
