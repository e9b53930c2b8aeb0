"""One file a revision, never changed once released; the first names no predecessor."""
