"""Start real servers on loopback and talk to their management interface: tritonserver with stand-in backends.

Every server started here listens on loopback only and is ended by infc, whatever happens to the process that asked.
"""
