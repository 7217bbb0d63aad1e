"""One folder per page: the short script `page` and the parts of that page alone."""
