"""Charts as plain data: every position is computed here, a template only writes them down as SVG."""
