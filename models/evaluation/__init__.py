"""Evaluation: metrics, scores, accuracy with intervals, explanations."""
