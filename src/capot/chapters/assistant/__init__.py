"""How does a text predictor become an assistant?"""
