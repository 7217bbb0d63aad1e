"""How the project says numbers, settings and results: one form of each, in the app and in reports.

Pure functions of numbers; no Streamlit, no torch.
"""
