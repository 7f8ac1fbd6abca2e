"""What the tests stand on: the SSH test server, real experiments, a breaking proxy, a fake monitor server.

Belongs here: whatever more than one test needs in order to reach something real, or something really broken.
Does not belong here: expectations about ``xpm_remote``; this folder never imports it.
"""
