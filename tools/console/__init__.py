"""What the verbs share on the console.

The doors of the command line stay empty, so that ``--help`` loads little: a file without an underscore is for all rooms.
"""
