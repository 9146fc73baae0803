"""Which models are there to open, here and on the hub?"""
