"""What is in this model, and does it fit here?"""
