"""The answers over HTTP: windows of matrices, tiles of maps, exports."""
