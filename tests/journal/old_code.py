"""The statements of commit 89c35a9: a process that was not updated executes them on the migrated journal."""

OLD_MIGRATIONS = 2
OLD_COLUMNS = (
    "id", "trace_id", "parent_id", "is_root", "type", "name", "trace_name", "agent",
    "start_ns", "first_token_ns", "end_ns", "session_id", "user_id", "environment", "release",
    "provider", "model", "model_requested", "model_parameters", "input", "output", "metadata", "tags",
    "level", "status_message", "usage", "cost", "cost_usd", "cost_source", "destination", "state", "process",
)  # fmt: skip
OLD_INSERT = (
    f"INSERT INTO observations ({', '.join(OLD_COLUMNS)}) SELECT {', '.join(f':{name}' for name in OLD_COLUMNS)}"
    " WHERE true ON CONFLICT (id) DO NOTHING"
)
OLD_REPLACE = OLD_INSERT.replace("INSERT INTO", "INSERT OR REPLACE INTO").removesuffix(" ON CONFLICT (id) DO NOTHING")
OLD_SCORE = (
    "INSERT OR REPLACE INTO scores (id, trace_id, observation_id, name, data_type, value, comment, environment,"
    " session_id, timestamp_ns, destination, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
