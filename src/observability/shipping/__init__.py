"""Telemetry leaves the process here: rows are sent to Langfuse."""
