"""Navigation, and the run that every page looks at."""

from __future__ import annotations

from app import shell

shell.configure()
page = shell.navigation()
shell.sidebar(page)
page.run()
