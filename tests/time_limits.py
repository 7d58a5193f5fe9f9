"""How long tests wait for what must end."""

# For processes that end by themselves. A test fails because of it only if one hangs, however busy the machine is.
HANGS_AFTER_S = 900
