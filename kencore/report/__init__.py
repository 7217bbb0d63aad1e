"""The report of a run: one HTML file to keep, print and send, and every picture and table of it.

    from kencore.report import report
    report("demo", "demo.html", figures="pictures")

No Streamlit, no Plotly, no torch; matplotlib draws the pictures.
"""

from kencore.report.write import file_name, report

__all__ = ["file_name", "report"]
