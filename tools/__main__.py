"""``python -m foveal.tools`` is ``foveal``."""

from foveal.tools import main

if __name__ == "__main__":
    main()
