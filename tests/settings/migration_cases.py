"""Settings files before and after ``alt_workspaces`` became ``folders``; only the part between the comments changes."""

from __future__ import annotations

CASES = {
    "flow list": (
        """\
        # mine
        workspaces:
          - id: a   # A
            path: ~/a
            # look there
            alt_workspaces: [b, "/x #y"]   # old

            triggers: [x]
          - {id: b, path: ~/b}
        """,
        """\
        # mine
        workspaces:
          - id: a   # A
            path: ~/a
            # look there
            folders: [{path: ~/b, mode: use}, {path: '/x #y', mode: use}]   # old

            triggers: [x]
          - {id: b, path: ~/b}
        """,
    ),
    "list of lines": (
        """\
        workspaces:
        - id: a
          path: /a
          alt_workspaces:
            # first
            - /b     # b

            # second
            - '/c, {d}'
          # then
          triggers: [x]
        """,
        """\
        workspaces:
        - id: a
          path: /a
          folders:
            # first
            - path: /b     # b
              mode: use

            # second
            - path: '/c, {d}'
              mode: use
          # then
          triggers: [x]
        """,
    ),
    "lines before lines": (
        """\
        workspaces:
          - id: a
            path: /a
            alt_workspaces:
            # first
            - /b   # b
            # second
            - /c   # c
            folders:
            # keep
            - path: /d
            - path: /e
              mode: move
        """,
        """\
        workspaces:
          - id: a
            path: /a
            # first
            # b
            # second
            # c
            folders:
            # keep
            - path: /b
              mode: use
            - path: /c
              mode: use
            - path: /d
            - path: /e
              mode: move
        """,
    ),
    "after the folders": (
        """\
        workspaces:
          - id: a
            path: /a
            folders:
              - {path: /d}
            alt_workspaces: [/b]
            triggers: [x]
        """,
        """\
        workspaces:
          - id: a
            path: /a
            folders:
              - path: /b
                mode: use
              - {path: /d}
            triggers: [x]
        """,
    ),
    "behind the dash": (
        """\
        workspaces:
          - alt_workspaces: [/b]  # why
            id: a
            path: /a
            folders: [{path: /c}]
          - alt_workspaces: [/b]
            id: b
            path: /b2
            folders: [{path: /c}]
          - alt_workspaces: [/b]
            id: c
            path: /c2
        """,
        """\
        workspaces:
          - # why
            id: a
            path: /a
            folders: [{path: /b, mode: use}, {path: /c}]
          - id: b
            path: /b2
            folders: [{path: /b, mode: use}, {path: /c}]
          - folders: [{path: /b, mode: use}]
            id: c
            path: /c2
        """,
    ),
    "empty folders": (
        """\
        workspaces:
          - {id: a, path: /a, folders: , alt_workspaces: [/k]}
          - {id: b, path: /b, alt_workspaces: [/k], folders: []}
          - id: c
            path: /c
            folders: ~   # none
            alt_workspaces: [/k]
          - id: d
            path: /d
            alt_workspaces: [/k]
            folders:
        """,
        """\
        workspaces:
          - {id: a, path: /a, folders: [{path: /k, mode: use}]}
          - {id: b, path: /b, folders: [{path: /k, mode: use}]}
          - id: c
            path: /c
            # none
            folders: [{path: /k, mode: use}]
          - id: d
            path: /d
            folders: [{path: /k, mode: use}]
        """,
    ),
    "braces": (
        """\
        workspaces:
          - {id: a, path: /a, alt_workspaces: [/b], folders: [{path: /c}], triggers: [x]}
          - {id: b, path: /b, folders: [{path: /c}], "alt_workspaces": [a]}
          - {id: c, path: /d,
             alt_workspaces: [a, # one
               b], # two
             folders: [{path: /c}]}
        """,
        """\
        workspaces:
          - {id: a, path: /a, folders: [{path: /b, mode: use}, {path: /c}], triggers: [x]}
          - {id: b, path: /b, folders: [{path: /a, mode: use}, {path: /c}]}
          - {id: c, path: /d,
              # one
        # two
             folders: [{path: /a, mode: use}, {path: /b, mode: use}, {path: /c}]}
        """,
    ),
    "braces over lines": (
        """\
        workspaces:
          - {id: a, path: /a, folders: [{path: /c}],
             alt_workspaces: [/b]}
          - {id: b
             , path: /d
             , alt_workspaces: [/b]
             , folders: [{path: /c}]}
          - {id: c, folders: [{path: /c}], path: /e, # one
             alt_workspaces: [/b] # two
            }
        """,
        """\
        workspaces:
          - {id: a, path: /a, folders: [{path: /b, mode: use}, {path: /c}]}
          - {id: b
             , path: /d
             , folders: [{path: /b, mode: use}, {path: /c}]}
          - {id: c, folders: [{path: /b, mode: use}, {path: /c}], path: /e, # one
              # two
            }
        """,
    ),
    "nothing in the list": (
        """\
        workspaces:
          - {id: a, path: /a, alt_workspaces: []}
          - id: b
            path: /b
            alt_workspaces: []  # nothing
            folders: [{path: /c}]
        """,
        """\
        workspaces:
          - {id: a, path: /a, folders: []}
          - id: b
            path: /b
            # nothing
            folders: [{path: /c}]
        """,
    ),
    "spelling of the paths": (
        """\
        workspaces:
          - {id: a, path: "${env:ROOT}/a"}
          - {id: b, path: relative/b}
          - {<<: {path: ~/c}, id: c}
          - {id: d, path: /d, alt_workspaces: [a, b, c, "${env:ROOT}/x", "~/it's"]}
        """,
        """\
        workspaces:
          - {id: a, path: "${env:ROOT}/a"}
          - {id: b, path: relative/b}
          - {<<: {path: ~/c}, id: c}
          - {id: d, path: /d, folders: [{path: '${env:ROOT}/a', mode: use}, """
        """{path: /home/me/relative/b, mode: use}, {path: ~/c, mode: use}, """
        """{path: '${env:ROOT}/x', mode: use}, {path: ~/it's, mode: use}]}
        """,
    ),
    "remote": (
        """\
        workspaces:
          - {id: a, path: ~/a, ssh: {host: h}}
          - {id: b, path: b, ssh: {host: h}, alt_workspaces: [a, ~/c]}
        """,
        """\
        workspaces:
          - {id: a, path: ~/a, ssh: {host: h}}
          - {id: b, path: b, ssh: {host: h}, folders: [{path: ~/a, mode: use}, {path: ~/c, mode: use}]}
        """,
    ),
}
