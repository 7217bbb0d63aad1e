"""Navigation, the run that every page looks at, and the link to what is shown."""

from __future__ import annotations

from app import shell
from app.frame.copy_link import copy_link
from app.frame.one_step import one_step

shell.configure()
page = shell.navigation()
one_step()
copy_link(run=shell.sidebar(page), ask=page.url_path in shell.OF_FORMS)
page.run()
