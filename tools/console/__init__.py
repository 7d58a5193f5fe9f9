"""What the verbs share on the console.

The doors of the command line stay empty, so that ``--help`` loads little. A file without an underscore may be imported
from all rooms.
"""
