"""What every page stands in: state, links, theme, charts on a page."""
