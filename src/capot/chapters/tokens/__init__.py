"""How does text become ids, and what does it cost in each language?"""
