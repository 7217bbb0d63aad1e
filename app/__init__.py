"""The browser application: pages, charts and the weight viewer over ``kencore``."""
