"""On the caller's thread: what is being observed, and how a call becomes an observation."""
