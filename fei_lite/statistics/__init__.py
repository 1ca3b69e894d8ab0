"""Statistics on pyhf: workspaces, fits of the signal strength, CLs limits, toys."""
