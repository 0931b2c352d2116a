"""The day: order, retries, schedules, reports, the command line."""
