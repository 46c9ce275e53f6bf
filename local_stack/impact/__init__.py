"""``make impact``: what a change does to models, to the marts' numbers and to the connections.

Base and change are built from the same seeded data, in services of their own; nothing of a running stack is touched.
"""
