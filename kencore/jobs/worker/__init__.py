"""The processes that carry jobs out."""
