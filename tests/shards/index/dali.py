"""Index files as DALI's tool writes them."""

import tarfile


def dali_index(tar, version="v1.2"):
    """Return an index as DALI's tool writes it, from the tar as the standard library reads it."""
    with tarfile.open(tar) as file:
        members = list(file)
    lines = []
    for first, second in zip(members[::2], members[1::2], strict=True):
        fields = [
            f"{m.name.partition('.')[2]} {m.offset_data} {m.size}" + f" {m.name}" * (version == "v1.2")
            for m in (first, second)
        ]
        lines.append(" ".join(fields))
    path = tar.with_suffix(".idx")
    path.write_text("\n".join([f"{version} {len(lines)}", *lines, ""]))
    return path
