"""Templates, style sheet, script and icon of the published pages (package data)."""
