"""Values as text, JSON, Markdown and the formats of review tools; nothing here decides anything."""
