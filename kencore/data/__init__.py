"""Text and labelled sentences: from files, from the hub, shipped. Importing this package is light."""
