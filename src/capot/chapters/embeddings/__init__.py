"""What vector stands for a token, which are near, and what the layers above add to it.

    embed     rows of the embedding table: where they lie, which are near
    context   one word in several sentences: what one vector per word cannot say
    lens      the next-token guess after every layer

``embed`` reads the table from the model's file and never opens an engine.
"""
