"""How does one token after the other become a text?"""
