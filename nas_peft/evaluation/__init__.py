"""Evaluation of a subnet on labelled images: measures with intervals, tables, pictures."""
