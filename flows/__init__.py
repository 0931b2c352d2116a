"""Orchestration: requests, Prefect flows, reports, drawing, the command line, serving."""
