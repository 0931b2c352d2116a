"""What this machine can do, and what is missing."""

from flows.doctor.checkup import checkup
from flows.doctor.finding import Finding, as_table, healthy

__all__ = ["Finding", "as_table", "checkup", "healthy"]
