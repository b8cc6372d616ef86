"""The report of an evaluation: per-patient TSV, summary JSON and one self-contained HTML file."""
