"""What the tests share: the SSH test server, real experiments, a breaking proxy, a fake monitor server.

Belongs here: what several tests need in order to reach something real, or something really broken.
Does not belong here: expectations about ``xpm_remote``; this folder never imports it.
"""
